"""The best constant answer is the best of all constant answers, by every metric."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peftlab.stats.constant import best_constant, commonest, for_all, is_constant
from peftlab.tasks.metrics.registry import METRICS
from peftlab.tasks.scores import sign_of
from tests.tasks.metrics.reference import reference

CLASSES = (
    "accuracy", "f1_macro", "f1_weighted", "matthews_correlation", "precision_macro",
    "recall_macro", "balanced_accuracy",
)  # fmt: skip
SEVERAL = (
    "f1_micro", "f1_macro", "f1_weighted", "subset_accuracy", "precision_macro", "recall_macro",
)  # fmt: skip
BINARY = ("f1", "precision", "recall")
OF_LOGITS = ("roc_auc", "average_precision", "log_loss", "brier", "calibration_error")


def best_of_all(metric: str, labels: np.ndarray, answers: np.ndarray) -> float:
    """Return the best score of any of the answers, by scikit-learn."""
    every = for_all(answers, len(labels))
    return max(reference(metric, labels, one) for one in every)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.sampled_from(CLASSES))
def test_no_other_class_scores_more(labels: list[int], metric: str) -> None:
    found = best_constant(metric, np.array(labels))
    assert found.score == pytest.approx(best_of_all(metric, np.array(labels), np.arange(5)))


@given(st.lists(st.integers(0, 1), min_size=1, max_size=12))
def test_by_f1_the_positive_class_is_the_best_answer_though_it_is_rare(labels: list[int]) -> None:
    found = best_constant("f1", np.array(labels))
    assert found.score == pytest.approx(best_of_all("f1", np.array(labels), np.arange(2)))
    share = sum(labels) / len(labels)
    assert found.score == pytest.approx(100 * 2 * share / (1 + share))


@given(
    st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), min_size=1, max_size=8),
    st.sampled_from(SEVERAL),
)
def test_no_other_set_of_labels_scores_more(labels: list[list[int]], metric: str) -> None:
    every = np.array([*itertools.product((0, 1), repeat=3)])
    found = best_constant(metric, np.array(labels))
    assert found.score == pytest.approx(best_of_all(metric, np.array(labels), every))


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_a_constant_correlates_with_nothing(metric: str) -> None:
    assert best_constant(metric, np.array([0.5, 2.0, 3.5])).score == 0.0


@given(st.lists(st.integers(0, 1), min_size=1, max_size=12), st.sampled_from(BINARY))
def test_no_other_class_of_two_scores_more(labels: list[int], metric: str) -> None:
    found = best_constant(metric, np.array(labels))
    assert found.score == pytest.approx(best_of_all(metric, np.array(labels), np.arange(2)))


@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=12),
    st.lists(st.floats(-5, 5, width=32), min_size=3, max_size=3),
    st.sampled_from(OF_LOGITS),
)
def test_no_other_constant_logits_score_better(
    drawn: list[int], logits: list[float], metric: str
) -> None:
    labels = np.array(drawn)
    other = np.broadcast_to(np.array(logits, dtype=np.float32), (1, len(labels), 3))
    score = METRICS.get(metric).scores(labels, other)[0]
    best = best_constant(metric, labels, 3).score
    assert sign_of(metric) * (best - score) >= -1e-3


def test_the_best_constant_of_a_loss_is_the_labels_own_shares() -> None:
    labels = np.array([0, 0, 0, 1])
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert best_constant("log_loss", labels, 2).score == pytest.approx(entropy, rel=1e-6)
    assert best_constant("brier", labels, 2).score == pytest.approx(100 * 0.75 * 0.25, rel=1e-6)
    assert best_constant("calibration_error", labels, 2).score == pytest.approx(0, abs=1e-5)
    assert best_constant("roc_auc", labels, 2).score == 50
    assert best_constant("average_precision", labels, 2).score == 25


def test_one_label_alone_is_answered_in_full() -> None:
    assert best_constant("accuracy", np.zeros(5, dtype=int)).score == 100.0
    assert best_constant("f1", np.zeros(5, dtype=int)).score == 0.0


def test_with_more_classes_than_are_tried_the_commonest_is_among_them() -> None:
    labels = np.array([*range(40), 33, 33])
    assert best_constant("accuracy", labels).answer == 33
    assert best_constant("f1_macro", labels).score == pytest.approx(
        best_of_all("f1_macro", labels, np.arange(40))
    )


@pytest.mark.parametrize(
    ("predictions", "expected"),
    [
        (np.array([1, 1, 1]), True),
        (np.array([1, 1, 0]), False),
        (np.array([[0, 1], [0, 1]]), True),
        (np.array([[0, 1], [1, 1]]), False),
        (np.array([2.5, 2.5 + 1e-6, 2.5 - 1e-6]), True),
        (np.array([2.5, 2.51, 2.5]), False),
        (np.zeros(3), True),
    ],
)
def test_constant_is_one_answer_but_for_rounding(predictions: np.ndarray, expected: bool) -> None:
    assert is_constant(predictions) is expected


def test_the_commonest_value_is_a_class_or_a_set_of_labels() -> None:
    assert commonest(np.array([2, 0, 2])) == 2
    assert commonest(np.array([[0, 1], [1, 1], [0, 1]])).tolist() == [0, 1]


def test_every_metric_of_the_report_is_tried_here() -> None:
    every = {*CLASSES, *SEVERAL, *BINARY, *OF_LOGITS, "pearson", "spearman"}
    assert every == set(METRICS.names())
