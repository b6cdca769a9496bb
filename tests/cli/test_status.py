"""`peftlab status` counts what is done, open and failed, and says how long the rest takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peftlab.store.workspace import Workspace

Peftlab = Callable[..., Any]


def test_a_finished_study_has_nothing_left(peftlab: Peftlab, finished_workspace: Path) -> None:
    answer = peftlab("status", "--workspace", finished_workspace, "--json")
    assert (answer.status, answer.err) == (0, "")
    assert answer.json == [
        {
            "study": "small-study",
            "trials": 16,
            "done": 16,
            "running": 0,
            "pending": 0,
            "failed": 0,
            "pruned": 0,
            "seconds_left": 0.0,
            "failures": [],
        }
    ]


def test_the_time_left_is_the_mean_of_the_same_task(peftlab: Peftlab, workspace: Path) -> None:
    with Workspace.open(workspace) as opened:
        first, *rest = opened.trials("small-study")
        failed = next(record for record in rest if record.trial.task != first.trial.task)
        opened.start(first.trial.id, {})
        opened.start(failed.trial.id, {})
        opened.fail(failed.trial.id, "the loss is not finite\nat step 3")
    times = [
        record.costs.total_seconds
        for record in rest
        if record.trial.task == first.trial.task and record.costs is not None
    ]
    assert len(times) == 7
    (row,) = peftlab("status", "small-study", "--workspace", workspace, "--json").json
    assert (row["done"], row["running"], row["failed"]) == (14, 1, 1)
    assert row["seconds_left"] == pytest.approx(sum(times) / 7)
    assert row["failures"] == [{"id": failed.trial.id, "error": "the loss is not finite"}]
    table = peftlab("status", "--workspace", workspace).out
    assert f"failed: {failed.trial.id}: the loss is not finite\n" in table
    assert "step 3" not in table


def test_watching_ends_once_all_is_done(
    peftlab: Peftlab, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Workspace.open(workspace) as opened:
        record = opened.trials()[0]
        opened.start(record.trial.id, {})
    naps = []

    def finish(seconds: float) -> None:
        naps.append(seconds)
        assert record.costs is not None
        with Workspace.open(workspace) as opened:
            opened.finish(
                record.trial.id, record.costs, num_train_examples=32, num_eval_examples=24
            )

    monkeypatch.setattr("peftlab.cli.progress_table.time.sleep", finish)
    assert peftlab("status", "--watch", "--workspace", workspace).status == 0
    assert len(naps) == 1


def test_a_failure_without_words_is_listed_too(peftlab: Peftlab, workspace: Path) -> None:
    with Workspace.open(workspace) as opened:
        trial_id = opened.trials("small-study")[0].trial.id
        opened.fail(trial_id, "")
    (row,) = peftlab("status", "--workspace", workspace, "--json").json
    assert row["failures"] == [{"id": trial_id, "error": "no cause is known"}]
