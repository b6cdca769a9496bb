"""A training stops early where transformers' own callback would have stopped it."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import EarlyStoppingCallback, TrainerControl, TrainerState

from peftlab.core.training import TrainingSettings
from peftlab.tasks.selection import has_stopped_early, reported


@dataclass(frozen=True)
class One:
    held_out_scores: dict[str, float]


def evaluations(*scores: float, metric: str = "accuracy") -> list[One]:
    """Return evaluations with these scores, the first of them before training."""
    return [One({metric: score}) for score in scores]


def stops(*scores: float, patience: int, threshold: float = 0.0, metric: str = "accuracy") -> bool:
    training = TrainingSettings(
        early_stopping_patience=patience, early_stopping_threshold=threshold
    )
    return has_stopped_early(evaluations(*scores, metric=metric), training)


@settings(max_examples=200, deadline=None)
@given(
    scores=st.lists(st.integers(0, 8), min_size=1, max_size=12),
    patience=st.integers(1, 4),
    threshold=st.sampled_from([0.0, 1.0, 2.5]),
    metric=st.sampled_from(["accuracy", "log_loss"]),
)
def test_a_training_stops_where_the_callback_of_transformers_stops_it(
    scores: list[int], patience: int, threshold: float, metric: str
) -> None:
    arguments = SimpleNamespace(
        metric_for_best_model="score", greater_is_better=metric == "accuracy"
    )
    callback = EarlyStoppingCallback(patience, threshold)
    state, control = TrainerState(), TrainerControl()
    for place, score in enumerate(scores, 1):
        callback.on_evaluate(arguments, state, control, {"eval_score": score})
        # As Trainer._determine_best_metric keeps it, behind the callbacks.
        if state.best_metric is None or (
            score > state.best_metric if metric == "accuracy" else score < state.best_metric
        ):
            state.best_metric = score
        so_far = [4.0, *map(float, scores[:place])]
        ours = stops(*so_far, patience=patience, threshold=threshold, metric=metric)
        assert ours == control.should_training_stop
        if ours:
            break


def test_the_state_before_training_is_nothing_to_be_better_than() -> None:
    assert not stops(90.0, 50.0, patience=1)
    assert stops(90.0, 50.0, 50.0, patience=1)


def test_a_gain_within_the_threshold_is_waited_on_and_reported() -> None:
    scores = (50.0, 60.0, 60.4, 60.8)
    assert stops(*scores, patience=2, threshold=0.5)
    assert not stops(*scores, patience=2)
    found = reported(evaluations(*scores))
    assert found is not None
    assert found.held_out_scores == {"accuracy": 60.8}


def test_a_score_that_is_no_number_is_no_better_than_any_and_hides_none() -> None:
    nan = float("nan")
    assert stops(50.0, nan, nan, patience=2)
    assert not stops(50.0, nan, 60.0, patience=2)
    assert stops(50.0, 60.0, nan, 60.0, patience=2)


def test_without_patience_or_held_out_rows_it_is_the_last_step_that_ends_it() -> None:
    assert not has_stopped_early(evaluations(*[50.0] * 9), TrainingSettings())


@pytest.mark.parametrize("patience", [1, 3])
def test_the_reported_evaluation_is_the_best_of_those_that_were_made(patience: int) -> None:
    scores = [50.0, 61.0, 70.0, *[65.0] * patience]
    assert stops(*scores, patience=patience)
    assert not stops(*scores[:-1], patience=patience)
    found = reported(evaluations(*scores))
    assert found is not None
    assert found.held_out_scores == {"accuracy": 70.0}
