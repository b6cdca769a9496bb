"""Outcomes are rows of seeds on the same examples, and know their scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from peftlab.stats.outcomes import Outcomes

LABELS = np.array([1, 0, 1, 1])
SOUND: dict[str, Any] = {
    "metric": "accuracy",
    "labels_N": LABELS,
    "predictions_SN": np.array([[1, 0, 1, 1], [1, 1, 0, 1], [0, 0, 0, 0]]),
    "seeds": (7, 8, 9),
}


def test_scores_are_a_seed_each_in_points() -> None:
    assert Outcomes(**SOUND).scores_S.tolist() == [100.0, 50.0, 25.0]


def test_seeds_are_chosen_by_name_in_the_order_asked_for() -> None:
    chosen = Outcomes(**SOUND).of_seeds([9, 7])
    assert (chosen.seeds, chosen.scores_S.tolist()) == ((9, 7), [25.0, 100.0])
    with pytest.raises(ValueError):
        Outcomes(**SOUND).of_seeds([1])


@pytest.mark.parametrize(
    ("labels", "metric", "score"),
    [
        (LABELS, "accuracy", 75.0),
        (LABELS, "f1", 600 / 7),
        (LABELS, "matthews_correlation", 0.0),
        (1 - LABELS, "accuracy", 75.0),
        (1 - LABELS, "f1", 40.0),
    ],
)
def test_the_best_constant_answer_is_that_of_the_metric(
    labels: np.ndarray, metric: str, score: float
) -> None:
    found = Outcomes(**{**SOUND, "labels_N": labels, "metric": metric})
    assert found.best_constant.score == pytest.approx(score)


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": (7, 8)},
        {"seeds": (7, 8, 8)},
        {"labels_N": LABELS[:3]},
        {"seeds": (), "predictions_SN": np.empty((0, 4))},
        {"labels_N": LABELS[:0], "predictions_SN": np.empty((3, 0))},
        {"metric": "pearson", "predictions_SN": np.full((3, 4), np.nan)},
    ],
)
def test_what_does_not_fit_together_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Outcomes(**{**SOUND, **change})
