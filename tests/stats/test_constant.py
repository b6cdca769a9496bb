"""The best constant answer is the best of all that there are, by every metric."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peftlab.stats.constant import best_constant, commonest, for_all, is_constant
from peftlab.tasks.metrics.registry import METRICS
from tests.tasks.metrics.reference import reference

CLASSES = ("accuracy", "f1_macro", "f1_weighted", "matthews_correlation")
SEVERAL = ("f1_micro", "f1_macro", "f1_weighted", "subset_accuracy")


def best_of_all(metric: str, labels: np.ndarray, answers: np.ndarray) -> float:
    """The best score of any of the answers, by scikit-learn."""
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
    assert set(CLASSES) | set(SEVERAL) | {"f1", "pearson", "spearman"} == set(METRICS.names())
