"""A workspace that peftlab 0.1.0 wrote can be continued: nothing is trained again without need.

older_workspace.sql is its database after `peftlab run` of the three studies below.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from peftlab.runner.plan import Plan, make_plan
from peftlab.store.workspace import DATABASE, Workspace
from peftlab.study.spec import validate
from peftlab.study.stored_studies import store_study
from peftlab.study.trials import expand

DUMP = Path(__file__).with_name("older_workspace.sql")
SHORT = {"num_train_epochs": 1, "per_device_train_batch_size": 8}
ACCUMULATED = {"method": "head", "training": {"gradient_accumulation_steps": 2}}
DEMO = {
    "model": "minilm", "data": "demo", "tasks": ["demo-sentiment"], "max_train_samples": 24,
    "max_length": 24,
}  # fmt: skip
MIXED = {
    **DEMO, "name": "mixed", "seeds": [1, 2], "max_eval_samples": 20000,
    "training": {**SHORT, "per_device_eval_batch_size": 32},
    "arms": {"head": {"method": "head"}, "bitfit": {**ACCUMULATED, "method": "bitfit"}},
}  # fmt: skip
PEER = {
    **DEMO, "name": "peer", "seeds": [1], "engine": "trainer", "max_eval_samples": 20,
    "training": SHORT, "arms": {"usual": {"method": "head"}, "accumulated": ACCUMULATED},
}  # fmt: skip
ROWS = [f"film {i} was {'good' if i % 3 else 'bad'},{'a' if i < 20 else 'b'}" for i in range(40)]


@pytest.fixture
def older(tmp_path: Path) -> Iterator[Workspace]:
    """The workspace, opened by today's code, and the file of its own task beside it."""
    (tmp_path / "t.csv").write_text("text,label\n" + "\n".join(ROWS) + "\n")
    database = sqlite3.connect(tmp_path / DATABASE)
    database.executescript(DUMP.read_text(encoding="utf-8").replace("FOLDER", str(tmp_path)))
    database.close()
    with Workspace.open(tmp_path, create=False) as workspace:
        yield workspace


def plan_of(study: dict[str, Any], workspace: Workspace) -> Plan:
    return make_plan(expand(validate(study, where="study")), workspace)


def own(workspace: Workspace, **changes: Any) -> dict[str, Any]:
    """The study of a user's own file that is sorted by its labels."""
    files = {"train": str(workspace.path / "t.csv"), "dev": 0.25, "text": "text", "label": "label"}
    return {
        "name": "own", "model": "minilm", "data": {"films": files}, "seeds": [1],
        "max_train_samples": 16, "max_length": 24, "training": SHORT,
        "arms": {"head": {"method": "head"}}, **changes,
    }  # fmt: skip


def test_what_was_right_is_done(older: Workspace) -> None:
    """This also holds if settings without effect are changed or left out."""
    other = {**MIXED, "max_eval_samples": None, "training": SHORT}
    for study in (MIXED, other):
        plan = plan_of(study, older)
        assert [trial.status for trial in plan.trials] == ["done"] * 4
        assert (plan.open_trials, plan.remarks) == ((), ())


def test_what_the_trainer_got_wrong_is_to_be_trained_again_and_named(older: Workspace) -> None:
    plan = plan_of(PEER, older)
    assert {trial.arms[0]: trial.status for trial in plan.trials} == {
        "usual": "done",
        "accumulated": "pending",
    }
    (remark,) = plan.remarks
    assert "1 trial was measured by an older version" in remark
    assert "gradient_accumulation_steps times too large" in remark


def test_rows_that_were_the_first_of_a_file_are_drawn_anew_and_named(older: Workspace) -> None:
    plan = plan_of(own(older), older)
    assert [trial.status for trial in plan.trials] == ["pending"]
    (remark,) = plan.remarks
    assert "took the first rows of own files" in remark


def test_a_study_that_was_planned_anew_keeps_what_it_had(older: Workspace) -> None:
    before = older.trials("mixed")
    store_study(expand(validate(MIXED, where="study")), older)
    after = older.trials("mixed")
    assert [record.to_json() for record in after] == [record.to_json() for record in before]
    assert all(record.scores for record in after)
