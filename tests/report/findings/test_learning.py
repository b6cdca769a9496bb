"""Remarks on arms that are not shown to have learned have the state, the evidence and the cause."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from peftlab.core.measurements import Evaluation
from peftlab.report.findings.learning import (
    chance_note,
    has_learned,
    learned_json,
    mark,
    remarks,
)
from peftlab.report.findings.view import StudyView
from peftlab.store.records import TrialRecord

Predicted = Callable[..., StudyView]
SENTIMENT, PARAPHRASE = "demo-sentiment", "demo-paraphrase"
NUM = 200
LABELS = np.arange(NUM) % 2


def good(num_seeds: int = 3, chance: int = 1) -> np.ndarray:
    return np.random.default_rng(chance).random((num_seeds, NUM)) < 0.9


def constant(num_seeds: int = 3) -> np.ndarray:
    """Return runs that answer 1 to everything."""
    return np.stack([LABELS == 1] * num_seeds)


def chance(num_seeds: int = 3) -> np.ndarray:
    return np.random.default_rng(5).random((num_seeds, NUM)) < 0.53


def view_of(
    predicted: Predicted, rows: Mapping[str, Any], tasks: Sequence[str] = (SENTIMENT,), **more: Any
) -> StudyView:
    trials = {(arm, task): found for arm, found in rows.items() for task in tasks}
    return predicted(trials, {"tasks": list(tasks), "seeds": [1, 2, 3], **more})


def with_training(view: StudyView, **settings: Any) -> StudyView:
    """Return the view with other training settings in every trial, on 6,400 training examples."""

    def changed(record: TrialRecord) -> TrialRecord:
        training = record.trial.training.model_copy(update=settings)
        trial = record.trial.model_copy(update={"training": training})
        return replace(record, trial=trial, num_train_examples=6400)

    by_place = {place: tuple(map(changed, records)) for place, records in view.by_place.items()}
    return replace(view, by_place=by_place)


def as_before(view: StudyView) -> StudyView:
    """Return the view with every trial's score and loss as they were before the first step."""

    def unmoved(record: TrialRecord) -> TrialRecord:
        first: Evaluation = replace(record.evaluations[-1], epoch=0, step=0, train_loss=None)
        return replace(record, evaluations=(first, record.evaluations[-1]))

    by_place = {place: tuple(map(unmoved, records)) for place, records in view.by_place.items()}
    return replace(view, by_place=by_place)


def test_each_state_has_its_mark(predicted: Predicted) -> None:
    view = view_of(predicted, {"full": good(), "lora-r2": constant(), "lora-r8": chance()})
    (task,) = view.tasks
    marks = [mark(view, arm, task) for arm in view.arms]
    assert marks == ["", "× did not learn", "? cannot tell"]
    assert [has_learned(view, arm, view.tasks) for arm in view.arms] == [True, False, False]


def test_an_arm_learned_several_tasks_only_if_it_learned_each(predicted: Predicted) -> None:
    trials = {
        ("full", SENTIMENT): good(),
        ("full", PARAPHRASE): constant(),
    }
    view = predicted(trials, {"seeds": [1, 2, 3]})
    full = view.arms[0]
    assert has_learned(view, full, view.tasks[:1])
    assert not has_learned(view, full, view.tasks)


def test_arms_of_which_the_same_is_to_be_said_share_a_line(predicted: Predicted) -> None:
    view = view_of(predicted, {"full": good(), "lora-r2": constant(), "lora-r8": constant()})
    (found,) = remarks(view, view.arms)
    assert found.words == (
        "× did not learn: lora-r2 and lora-r8 on demo-sentiment: all 3 runs give the same answer "
        "to all examples; the best such answer scores 50.0."
    )


def test_what_cannot_be_told_has_its_interval(predicted: Predicted) -> None:
    view = view_of(predicted, {"lora-r2": chance()})
    (found,) = remarks(view, view.arms)
    learned = view.learned(view.arms[1], view.tasks[0])
    assert learned is not None
    assert learned.gain is not None
    assert found.state == "cannot tell"
    gain = learned.gain
    assert found.reason == (
        f"{gain.estimate:+.1f} points against the best constant answer (50.0), 95% interval "
        f"{gain.low:+.1f} to {gain.high:+.1f}."
    )


def test_a_bar_that_is_no_constant_answer_is_named(
    predicted: Predicted, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = view_of(predicted, {"lora-r2": chance()})
    assert chance_note(view, view.arms) == ""
    learned = view.learned(view.arms[1], view.tasks[0])
    assert learned is not None
    found = replace(learned, constant=33.3, chance=49.8)
    monkeypatch.setattr(StudyView, "learned", lambda *_: found)
    (remark,) = remarks(view, view.arms[1:])
    assert "points against what its own predictions score in random order (49.8)" in remark.reason
    assert "random order" in chance_note(view, view.arms)
    row = learned_json(view)[0]
    assert (row["best_constant"], row["chance"]) == (33.3, 49.8)


def test_what_has_not_moved_since_before_its_first_step_did_not_learn(predicted: Predicted) -> None:
    view = as_before(view_of(predicted, {"lora-r2": chance()}))
    (found,) = remarks(view, view.arms)
    assert found.state == "did not learn"
    assert "score and loss have not changed since before the first step" in found.reason
    assert remarks(as_before(view_of(predicted, {"full": good()})), view.arms) == []


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"warmup_steps": 5000}, "The warm-up of 5,000 steps is not over when the training is"),
        ({"learning_rate": 0.0}, "The learning rate is 0."),
        ({"max_steps": 72}, "A training of 72 steps is short: more epochs"),
        ({"learning_rate": 1e-6}, "lora at a learning rate of 1e-06 is low"),
    ],
)
def test_a_cause_that_is_known_is_named(
    settings: dict[str, Any], cause: str, predicted: Predicted
) -> None:
    view = view_of(predicted, {"lora-r2": constant()})
    (without,) = remarks(with_training(view, learning_rate=1e-3), view.arms)
    assert without.reason.endswith("scores 50.0.")
    (found,) = remarks(with_training(view, **{"learning_rate": 1e-3, **settings}), view.arms)
    assert cause in found.reason


@pytest.mark.parametrize(
    ("step", "cause"),
    [
        (9, "Early stopping ended the training after 9 steps: a higher early_stopping_patience"),
        (72, "A training of 72 steps is short"),
    ],
)
def test_early_stopping_is_the_cause_only_where_it_ended_the_training(
    step: int, cause: str, predicted: Predicted
) -> None:
    settings = {"learning_rate": 1e-3, "max_steps": 72, "early_stopping_patience": 1}
    view = with_training(view_of(predicted, {"lora-r2": constant()}), **settings)
    by_place = {
        place: tuple(
            replace(one, evaluations=(replace(one.evaluations[-1], step=step),)) for one in records
        )
        for place, records in view.by_place.items()
    }
    (found,) = remarks(replace(view, by_place=by_place), view.arms)
    assert cause in found.reason
    assert ("is short" in found.reason) == (step == 72)


def test_predictions_that_are_gone_leave_it_open(predicted: Predicted) -> None:
    view = view_of(predicted, {"full": good()})
    path = view.records[0].predictions_path
    assert path is not None
    path.unlink()
    (found,) = remarks(view, view.arms)
    assert found.words == "? cannot tell: full on demo-sentiment: predictions are gone."


def test_the_json_has_a_row_an_arm_and_task_that_is_measured(predicted: Predicted) -> None:
    view = view_of(predicted, {"full": good(), "lora-r2": constant()})
    full, lora = learned_json(view)
    assert (full["arm"], full["task"], full["state"]) == ("full", SENTIMENT, "learned")
    assert (full["best_constant"], full["reason"]) == (50.0, "")
    assert full["gain"] == pytest.approx(100 * good().mean() - 50)
    assert lora["state"] == "did not learn"
    assert lora["gain"] == 0.0
    assert str(lora["reason"]).startswith("all 3 runs give the same answer to all examples")
    perfect = view_of(predicted, {"full": np.ones((3, NUM), dtype=bool)})
    (row,) = learned_json(perfect)
    assert (row["state"], row["low"] is None) == ("learned", False)
