"""Statistics come from the trials' own predictions, read once, and are the same every time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from peftlab.core.errors import UserError
from peftlab.data.predictions import read_predictions, write_predictions
from peftlab.report.findings.statistics import Statistics
from peftlab.report.findings.view import StudyView, make_view
from peftlab.store.records import PREDICTIONS_FILE
from peftlab.store.workspace import Workspace
from peftlab.tasks.registry import TASKS
from tests.report.made_up import made_up

Predicted = Callable[..., StudyView]
SENTIMENT, PARAPHRASE = "demo-sentiment", "demo-paraphrase"


def rows(*shares: float, num: int = 120, chance: int = 0) -> np.ndarray:
    generator = np.random.default_rng(chance)
    return generator.random((len(shares), num)) < np.array(shares)[:, None]


def test_scores_from_predictions_are_the_stored_ones(finished_workspace: Path) -> None:
    with Workspace.open(finished_workspace, create=False) as opened:
        view = make_view(opened, "small-study")
    for task in view.tasks:
        for arm in view.arms:
            for metric in task.metrics:
                outcomes = view.outcomes(arm, task, metric)
                assert outcomes is not None
                stored = [record.scores[metric] for record in view.done(arm, task)]
                assert outcomes.scores_S.tolist() == pytest.approx(stored)
                assert outcomes.seeds == (1, 2)
                summary = view.summary(arm, task, metric)
                assert summary is not None
                assert summary.mean == pytest.approx(np.mean(stored))
                assert summary.covers == "seeds and examples"


def test_two_views_of_the_same_trials_give_the_same_numbers(predicted: Predicted) -> None:
    trials = {
        ("full", SENTIMENT): rows(0.9, 0.8, chance=1),
        ("lora-r2", SENTIMENT): rows(0.7, 0.8, chance=2),
    }
    found = []
    for _ in range(2):
        view = predicted(trials)
        left, right = view.choose(["full", "lora-r2"])
        task = view.tasks[0]
        found.append((view.summary(left, task), view.comparison(left, right, task)))
    assert found[0] == found[1]
    assert found[0][1] is not None


def test_files_are_read_once(predicted: Predicted, monkeypatch: pytest.MonkeyPatch) -> None:
    from peftlab.report.findings import runs

    read, records = runs.answers_of, []
    monkeypatch.setattr(runs, "answers_of", lambda one: records.append(one) or read(one))
    view = predicted({("full", SENTIMENT): rows(0.9, 0.8), ("lora-r2", SENTIMENT): rows(0.9, 0.7)})
    left, right = view.choose(["full", "lora-r2"])
    for _ in range(2):
        view.summary(left, view.tasks[0])
        view.comparison(left, right, view.tasks[0])
    assert len(records) == 4


def test_where_predictions_are_gone_there_is_the_noise_of_seeds(predicted: Predicted) -> None:
    view = predicted({("full", SENTIMENT): rows(0.9, 0.8), ("lora-r2", SENTIMENT): rows(0.9, 0.7)})
    full, lora = view.choose(["full", "lora-r2"])
    task = view.tasks[0]
    (record, _) = view.of(full, task)
    assert record.predictions_path is not None
    record.predictions_path.unlink()
    assert view.outcomes(full, task) is None
    summary = view.summary(full, task)
    assert summary is not None
    assert (summary.num_values, summary.covers) == (2, "seeds")
    assert view.comparison(full, lora, task) is None
    assert view.outcomes(lora, task) is not None


def test_a_failed_trial_is_counted_and_has_no_outcome(predicted: Predicted) -> None:
    view = predicted({("full", SENTIMENT): [*rows(0.9), None]})
    full, task = view.arms[0], view.tasks[0]
    outcomes, summary = view.outcomes(full, task), view.summary(full, task)
    assert outcomes is not None
    assert summary is not None
    assert outcomes.seeds == (1,)
    assert (summary.num_values, summary.failed_share) == (1, 0.5)


def test_nothing_done_is_nothing(predicted: Predicted) -> None:
    view = predicted({("full", SENTIMENT): [None, None]})
    full, task = view.arms[0], view.tasks[0]
    assert view.outcomes(full, task) is None
    assert view.summary(full, task) is None
    assert view.comparison(full, full, task) is None
    assert view.statistics.difference("full", "lora-r2", view.tasks) is None


def test_arms_on_other_examples_are_not_compared(predicted: Predicted) -> None:
    view = predicted(
        {("full", SENTIMENT): rows(0.9, 0.8), ("lora-r2", SENTIMENT): rows(0.9, 0.7, num=80)}
    )
    left, right = view.choose(["full", "lora-r2"])
    assert view.comparison(left, right, view.tasks[0]) is None
    assert view.summary(right, view.tasks[0]) is not None


def test_seeds_of_an_arm_on_other_examples_are_damage(predicted: Predicted) -> None:
    view = predicted({("full", SENTIMENT): rows(0.9, 0.8)})
    record = view.records[1]
    assert record.folder is not None
    own = read_predictions(record.folder / PREDICTIONS_FILE)
    write_predictions(record.folder / PREDICTIONS_FILE, replace(own, row_ids=own.row_ids + 1))
    with pytest.raises(UserError, match="not the examples of the arm's other seeds"):
        view.outcomes(view.arms[0], view.tasks[0])


def test_a_file_that_is_none_is_told(predicted: Predicted) -> None:
    view = predicted({("full", SENTIMENT): rows(0.9, 0.8)})
    path = view.records[0].predictions_path
    assert path is not None
    path.write_bytes(b"no")
    with pytest.raises(UserError, match="not a file of predictions"):
        view.summary(view.arms[0], view.tasks[0])


def test_the_difference_over_tasks_is_the_mean_of_theirs(predicted: Predicted) -> None:
    view = predicted(
        {
            (arm, task): rows(0.9 - gap, 0.8 - gap, 0.85 - gap, chance=chance)
            for chance, (arm, task, gap) in enumerate(
                (arm, task, gap)
                for arm, gap in (("full", 0.0), ("lora-r2", 0.1))
                for task in (SENTIMENT, PARAPHRASE)
            )
        },
        {"seeds": [1, 2, 3]},
    )
    full, lora = view.choose(["full", "lora-r2"])
    whole = view.statistics.difference("full", "lora-r2", view.tasks)
    parts = [view.comparison(full, lora, task) for task in view.tasks]
    assert whole is not None
    assert whole.estimate == pytest.approx(np.mean([p.estimate for p in parts if p is not None]))
    assert whole.noise.num_examples == 240
    for task, part in zip(view.tasks, parts, strict=True):
        alone = view.statistics.difference("full", "lora-r2", [task])
        assert part is not None
        assert alone is not None
        assert (alone.estimate, alone.p_value) == (part.estimate, part.p_value)


def test_a_view_with_other_records_computes_anew(predicted: Predicted) -> None:
    view = predicted({("full", SENTIMENT): rows(0.9, 0.8)})
    full, task = view.arms[0], view.tasks[0]
    before = view.summary(full, task)
    fewer = replace(view, by_place={("full", SENTIMENT): view.of(full, task)[:1]})
    after = fewer.summary(full, task)
    assert before is not None
    assert after is not None
    assert (before.num_values, after.num_values) == (2, 1)


def test_arms_with_some_seeds_in_common_are_identical_only_if_all_runs_agree(
    tmp_path: Path,
) -> None:
    """Seeds 1 to 3 and 3 to 5 of one arm share one run, and the others differ."""
    view = made_up(tmp_path, {"full": 0.9}, arms={"full": {"method": "full"}}, tasks=[SENTIMENT])
    records = view.by_place["full", SENTIMENT]
    places = {
        ("first", SENTIMENT): records[:3],
        ("second", SENTIMENT): records[2:],
        ("same", SENTIMENT): records[:3],
    }
    statistics = Statistics(by_place=places)
    assert not statistics.are_identical("first", "second", [TASKS.get(SENTIMENT)])
    assert statistics.are_identical("first", "same", [TASKS.get(SENTIMENT)])
