"""A workspace of each earlier schema is read and written by this version.

The files in schemas/ are databases as their version's code wrote them, in SQL; each new version of
the schema adds another.
"""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path

import pytest

from peftlab.store.frame import load_results
from peftlab.store.schema import VERSION
from peftlab.store.workspace import DATABASE, Workspace

SCHEMAS = Path(__file__).parent / "schemas"
DONE, FAILED, PENDING = "c1c438f2a659", "6892ad789695", "eb11a29a9cf9"


@pytest.fixture(params=range(1, VERSION + 1))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The workspace of a schema's version."""
    script = (SCHEMAS / f"{request.param}.sql").read_text(encoding="utf-8")
    connection = sqlite3.connect(tmp_path / DATABASE)
    connection.executescript(script)
    assert connection.execute("PRAGMA user_version").fetchone() == (request.param,)
    connection.close()
    return tmp_path


def test_its_trials_are_what_they_were(folder: Path) -> None:
    with Workspace.open(folder, create=False) as workspace:
        done, failed, pending = workspace.trials("one")
        assert workspace.studies() == ["one", "two"]
        assert [one.count for one in workspace.status_counts("one")] == [1, 1, 1]
        assert [failure.task for failure in workspace.failures("one")] == ["sst2"]
    assert [record.trial.id for record in (done, failed, pending)] == [DONE, FAILED, PENDING]
    assert (done.status, failed.status, pending.status) == ("done", "failed", "pending")
    assert (next(iter(done.scores.values())), pending.scores) == (75.0, {})
    assert done.arms == {"one": ("lora", "other"), "two": ("a",)}
    assert (done.trial.method_config["r"], done.trial.training.learning_rate) == (8, 5e-4)
    assert [(one.step, one.epoch) for one in done.evaluations] == [(0, 0.0), (2, 1.0)]
    assert (done.evaluations[1].train_loss, done.evaluations[1].seconds) == (0.5, 2.5)
    assert done.evaluations[1].step_losses == (0.75, 0.25)
    assert done.to_json()["epochs"] == 1
    assert done.costs is not None
    assert (done.costs.total_seconds, done.costs.parameters.adapter) == (3.25, 20)
    assert (done.num_train_examples, done.num_eval_examples) == (64, 16)
    assert failed.error == "the training loss is nan"
    assert math.isnan(failed.evaluations[0].eval_loss)
    assert load_results(folder)["score.accuracy"].tolist()[:2] == [75.0, 50.0]


def test_it_can_be_gone_on_with(folder: Path) -> None:
    with Workspace.open(folder) as workspace:
        workspace.start(PENDING, {})
        workspace.fail(PENDING, "diverged")
        assert [failure.id for failure in workspace.failures("one")] == [FAILED, PENDING]
        workspace.save_study("three", {}, [workspace.trial(DONE).trial], {DONE: ("b",)})
        assert workspace.trials("three")[0].evaluations == workspace.trial(DONE).evaluations


def test_its_trials_may_be_given_up_and_nothing_goes_with_the_old_table(folder: Path) -> None:
    with Workspace.open(folder) as workspace:
        workspace.prune(PENDING)
        assert workspace.trial(PENDING).status == "pruned"
        assert [len(record.evaluations) for record in workspace.trials("one")] == [2, 1, 0]
        with pytest.raises(sqlite3.IntegrityError):
            workspace._connection.execute("UPDATE placements SET trial_id = 'none'")


@pytest.mark.parametrize(
    ("steps", "max_steps", "rows", "epochs"),
    [
        ([0, 5, 7], 7, None, [0, 1, 1.4]),
        ([0, 5, 10, 12], 12, None, [0, 1, 2, 2.4]),
        ([0, 3], 3, 36, [0, 0.6]),  # cut short in its first epoch: told by the number of examples
        ([0, 3], 3, None, [0, 1]),
        ([0, 5, 10], 10, 36, [0, 1, 2]),
        ([0, 5, 10], -1, 36, [0, 1, 2]),
    ],
)
@pytest.mark.parametrize("version", range(1, 6))
def test_an_epoch_that_was_cut_short_becomes_the_fraction_that_it_was(
    version: int,
    steps: list[int],
    max_steps: int,
    rows: int | None,
    epochs: list[float],
    tmp_path: Path,
) -> None:
    """The steps have 8 rows, and max_steps ended them, before schema 6."""
    connection = sqlite3.connect(tmp_path / DATABASE)
    connection.executescript((SCHEMAS / f"{version}.sql").read_text(encoding="utf-8"))
    connection.execute("DELETE FROM epochs")
    (trial_id,) = connection.execute("SELECT id FROM trials WHERE status = 'done'").fetchone()
    connection.execute(
        "UPDATE trials SET num_train_examples = ?, "
        "trial = json_set(trial, '$.training.max_steps', ?) WHERE id = ?",
        (rows, max_steps, trial_id),
    )
    connection.executemany(
        "INSERT INTO epochs (trial_id, epoch, step, eval_loss, scores, seconds, step_losses) "
        "VALUES (?, ?, ?, 0.5, '{\"accuracy\": 50.0}', 0, x'')",
        [(trial_id, epoch, step) for epoch, step in enumerate(steps)],
    )
    connection.commit()
    connection.close()
    with Workspace.open(tmp_path, create=False) as workspace:
        (done,) = (one for one in workspace.trials("one") if one.status == "done")
    assert [(one.step, one.epoch) for one in done.evaluations] == [*zip(steps, epochs, strict=True)]


def test_a_trial_that_cannot_be_read_does_not_keep_the_others_from_it(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / DATABASE)
    connection.executescript((SCHEMAS / "5.sql").read_text(encoding="utf-8"))
    connection.execute("UPDATE trials SET trial = '{' WHERE status = 'failed'")
    connection.commit()
    connection.close()
    with Workspace.open(tmp_path) as workspace:
        assert len(workspace.trial(workspace.trial_ids("one", "done")[0]).evaluations) == 2
