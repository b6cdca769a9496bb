"""In a workspace from before schema 4, trials are found by their present and former ids."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.errors import UserError
from peftlab.core.inputs import DataRef, OwnFiles
from peftlab.core.training import TrainingSettings
from peftlab.core.trial import Trial
from peftlab.store import workspace as workspace_module
from peftlab.store.workspace import DATABASE, Workspace
from tests.store.test_older_schemas import SCHEMAS

MakeTrial = Callable[..., Trial]
OWN = DataRef(
    source="files",
    location="t.csv",
    digest="d",
    files=OwnFiles(train="t.csv", dev_fraction=0.1, text=("text",), label=("label",)),
)


@pytest.fixture
def older(tmp_path: Path) -> Callable[..., Path]:
    """The function older(id=(trial, status, training rows), ...) for a workspace of schema 3.

    The study `s` holds all of them, each under an arm named by its id.
    """

    def make(**trials: tuple[Trial, str, int | None]) -> Path:
        database = sqlite3.connect(tmp_path / DATABASE)
        database.executescript((SCHEMAS / "3.sql").read_text(encoding="utf-8"))
        for table in ("placements", "epochs", "trials", "studies"):
            database.execute(f"DELETE FROM {table}")
        database.execute("INSERT INTO studies VALUES ('s', '{\"name\": \"s\"}', '2026-01-01', '')")
        for number, (older_id, (trial, status, rows)) in enumerate(trials.items()):
            stored: dict[str, Any] = trial.model_dump(mode="json")
            del stored["rules"]
            database.execute(
                "INSERT INTO trials (id, trial, status, task, num_train_examples, "
                "num_eval_examples) VALUES (?, ?, ?, ?, ?, 9)",
                (older_id, json.dumps(stored), status, trial.task, rows),
            )
            database.execute(
                "INSERT INTO placements VALUES ('s', ?, ?, ?)",
                (older_id, number, json.dumps([older_id])),
            )
            database.execute(
                "INSERT INTO epochs VALUES (?, 0, 0, NULL, 0.7, '{\"accuracy\": 50.0}', 0, x'', "
                "NULL, NULL)",
                (older_id,),
            )
            (tmp_path / "artifacts" / older_id / "model").mkdir(parents=True)
            (tmp_path / "artifacts" / older_id / "model" / "whose").write_text(older_id)
        database.commit()
        database.close()
        return tmp_path

    return make


def whose(workspace: Workspace, trial: Trial) -> str:
    """Return the older trial from which the artifacts of this trial come."""
    return (workspace.artifacts(trial.id) / "model" / "whose").read_text()


def test_a_trial_is_found_by_both_ids_with_all_it_has(
    older: Callable[..., Path], make_trial: MakeTrial
) -> None:
    trial = make_trial()
    with Workspace.open(older(aaaa1=(trial, "done", 5)), create=False) as workspace:
        assert workspace.statuses([trial.id]) == {trial.id: "done"}
        record = workspace.trial("aaaa")
        assert workspace.trial(trial.id).to_json() == record.to_json()
        assert (record.trial.id, record.arms) == (trial.id, {"s": ("aaaa1",)})
        assert record.scores == {"accuracy": 50.0}
        assert whose(workspace, trial) == "aaaa1"
        with pytest.raises(UserError, match="no trial has an id"):
            workspace.trial("bbbb")


def test_trials_that_differed_by_what_has_no_effect_are_one(
    older: Callable[..., Path], make_trial: MakeTrial
) -> None:
    """The trial that has come furthest is kept, under the arms of both."""
    twin = make_trial(training=TrainingSettings(learning_rate=5e-4, per_device_eval_batch_size=64))
    uncut = make_trial(max_train_samples=1000)
    folder = older(
        aaaa1=(make_trial(), "pending", None), bbbb2=(twin, "done", 5), cccc3=(uncut, "failed", 5)
    )
    with Workspace.open(folder, create=False) as workspace:
        (record,) = workspace.trials("s")
        assert (record.status, record.trial.id) == ("done", make_trial().id)
        assert record.arms == {"s": ("bbbb2", "cccc3", "aaaa1")}
        assert len(record.evaluations) == 1
        assert whose(workspace, make_trial()) == "bbbb2"
        for earlier in ("aaaa1", "bbbb2", "cccc3"):
            assert workspace.trial(earlier).trial.id == make_trial().id


def test_a_limit_that_cut_rows_off_is_kept(
    older: Callable[..., Path], make_trial: MakeTrial
) -> None:
    cut = make_trial(max_train_samples=5)
    with Workspace.open(older(aaaa1=(cut, "done", 5)), create=False) as workspace:
        assert workspace.trial("aaaa1").trial.id == cut.id != make_trial().id


def test_what_an_older_version_got_wrong_is_no_result_of_today_and_says_so(
    older: Callable[..., Path], make_trial: MakeTrial
) -> None:
    training = TrainingSettings(gradient_accumulation_steps=2)
    accumulated = make_trial(engine="trainer", training=training)
    drawn = make_trial(data=OWN, max_train_samples=5)
    right = make_trial()
    folder = older(
        aaaa1=(accumulated, "done", 5), bbbb2=(drawn, "done", 5), cccc3=(right, "done", 5)
    )
    with Workspace.open(folder, create=False) as workspace:
        statuses = workspace.statuses(trial.id for trial in (accumulated, drawn, right))
        assert [*statuses.values()] == ["pending", "pending", "done"]
        outdated = [workspace.trial(name).to_json()["outdated"] for name in folder_names(folder)]
    assert "gradient_accumulation_steps times too large" in str(outdated[0])
    assert "the first rows of own files" in str(outdated[1])
    assert outdated[2] == []


def folder_names(folder: Path) -> list[str]:
    """Return the trials' former ids, in the order of the study."""
    database = sqlite3.connect(folder / DATABASE)
    rows = database.execute("SELECT arms FROM placements ORDER BY position").fetchall()
    database.close()
    return [json.loads(arms)[0] for (arms,) in rows]


def test_one_that_may_not_be_written_is_read_by_the_ids_of_today(
    older: Callable[..., Path], make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = older(aaaa1=(make_trial(), "done", 5))
    files = sorted(folder.rglob("*"))

    def refuse(_: Path) -> sqlite3.Connection:
        error = sqlite3.OperationalError("attempt to write a readonly database")
        error.sqlite_errorcode = sqlite3.SQLITE_READONLY
        raise error

    connect = workspace_module._connect
    monkeypatch.setattr(
        workspace_module, "_connect", lambda at: (refuse if at.parent == folder else connect)(at)
    )
    with Workspace.open(folder, create=False) as workspace:
        assert workspace.trial(make_trial().id).status == "done"
        assert whose(workspace, make_trial()) == "aaaa1"
    assert sorted(folder.rglob("*")) == files


def test_a_trial_that_is_new_has_a_folder_of_its_own_id(
    older: Callable[..., Path], make_trial: MakeTrial
) -> None:
    new = make_trial(seed=9)
    folder = older(aaaa1=(make_trial(), "done", 5))
    with Workspace.open(folder, create=False) as workspace:
        assert workspace.artifacts(new.id) == folder / "artifacts" / new.id
        assert workspace.artifacts(make_trial().id) == folder / "artifacts" / "aaaa1"


def test_a_row_that_cannot_be_read_is_left_as_it_is(
    older: Callable[..., Path], make_trial: MakeTrial
) -> None:
    folder = older(aaaa1=(make_trial(), "done", 5), bbbb2=(make_trial(seed=2), "done", 5))
    database = sqlite3.connect(folder / DATABASE)
    database.execute("UPDATE trials SET trial = '{\"task\":' WHERE id = 'bbbb2'")
    database.commit()
    database.close()
    with Workspace.open(folder, create=False) as workspace:
        assert workspace.trial("aaaa1").status == "done"
        with pytest.raises(UserError, match="the results cannot be read"):
            workspace.trial("bbbb2")
