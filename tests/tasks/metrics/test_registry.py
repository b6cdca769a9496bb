"""Scores are those worked by hand, in points, the main metric first."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peftlab.core.errors import UnknownNameError, UserError
from peftlab.tasks.demo import ACCEPTABILITY, PARAPHRASE
from peftlab.tasks.glue import COLA, MRPC, SST2
from peftlab.tasks.metrics.registry import DEFAULTS, METRICS, require_metrics, score

# 3 true positives, 1 false positive, 2 false negatives, 4 true negatives.
PREDICTED = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
LABELS = [1, 1, 1, 0, 1, 1, 0, 0, 0, 0]
BINARY = ("accuracy", "f1", "matthews_correlation")
OF_A_NUMBER = (*BINARY, "pearson", "spearman")
SEVERAL = [[1, 1, 0], [1, 0, 1], [0, 0, 1], [0, 0, 1]]
SEVERAL_LABELS = [[1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]]


def measure(metric: str, predicted: list, labels: list) -> float:
    return METRICS.get(metric).scores(np.array(labels), np.array(predicted)[None])[0] / 100


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("accuracy", 7 / 10),
        ("f1", 2 * 3 / (2 * 3 + 1 + 2)),
        ("matthews_correlation", (3 * 4 - 1 * 2) / sqrt((3 + 1) * (3 + 2) * (4 + 1) * (4 + 2))),
    ],
)
def test_a_score_of_classes_is_that_worked_by_hand(metric: str, expected: float) -> None:
    assert measure(metric, PREDICTED, LABELS) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("metric", "predicted", "labels", "expected"),
    [
        # Deviations -1.5 -0.5 0.5 1.5 and -1.5 0.5 -0.5 1.5: 4 / 5.
        ("pearson", [1, 2, 3, 4], [1, 3, 2, 4], 0.8),
        ("spearman", [1, 2, 3, 4], [1, 3, 2, 4], 0.8),
        # Any rising curve: ranks agree wholly, the line does not fit.
        ("spearman", [0, 1, 2, 3], [0, 1, 8, 27], 1.0),
        ("pearson", [0, 1, 2, 3], [0, 1, 8, 27], 44 / sqrt(5 * 470)),
        # Ranks 1 2.5 2.5 4 and 1 2 3 4: 4.5 / sqrt(4.5 * 5).
        ("spearman", [1, 2, 2, 3], [1, 2, 3, 4], sqrt(0.9)),
        ("pearson", [1, 2, 3], [3, 2, 1], -1.0),
    ],
)
def test_a_correlation_is_that_worked_by_hand(
    metric: str, predicted: list[float], labels: list[float], expected: float
) -> None:
    assert measure(metric, predicted, labels) == pytest.approx(expected, rel=1e-14)
    assert measure(metric, labels, predicted) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("predicted", "labels", "expected"),
    [
        ([0, 0, 0], [0, 0, 0], {"accuracy": 1, "f1": 0}),
        ([1, 1, 1], [1, 1, 1], {"accuracy": 1, "f1": 1}),
        ([0, 0, 0, 0], [1, 1, 1, 0], {"accuracy": 1 / 4, "f1": 0}),
        ([1, 1, 1, 1], [1, 1, 1, 0], {"accuracy": 3 / 4, "f1": 6 / 7}),
        ([1, 0, 1, 0], [1, 1, 1, 1], {"accuracy": 1 / 2, "f1": 2 / 3}),
        ([1, 0, 1, 0], [0, 0, 0, 0], {"accuracy": 1 / 2, "f1": 0}),
    ],
)
def test_a_constant_side_has_no_correlation_and_warns_of_nothing(
    predicted: list[float], labels: list[float], expected: dict[str, float]
) -> None:
    for metric in OF_A_NUMBER:
        value = measure(metric, predicted, labels)
        assert value == pytest.approx(expected.get(metric, 0.0), rel=1e-14), metric


@pytest.mark.parametrize("metric", OF_A_NUMBER)
def test_a_perfect_prediction_scores_one(metric: str) -> None:
    assert measure(metric, [0, 1, 1, 0], [0, 1, 1, 0]) == pytest.approx(1.0, rel=1e-14)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=30))
def test_scores_of_classes_equal_a_slow_twin(pairs: list[tuple[int, int]]) -> None:
    predicted, labels = [list(side) for side in zip(*pairs, strict=True)]
    both, only_predicted, only_label, neither = (
        pairs.count(pair) for pair in [(1, 1), (1, 0), (0, 1), (0, 0)]
    )
    wrong = only_predicted + only_label
    product = (
        (both + only_predicted)
        * (both + only_label)
        * (neither + only_predicted)
        * (neither + only_label)
    )
    expected = {
        "accuracy": (both + neither) / len(pairs),
        "f1": 2 * both / (2 * both + wrong) if both + wrong else 0.0,
        "matthews_correlation": (both * neither - only_predicted * only_label) / sqrt(product)
        if product
        else 0.0,
    }
    for metric in BINARY:
        assert measure(metric, predicted, labels) == pytest.approx(expected[metric], abs=1e-12)


@pytest.mark.parametrize("task", [SST2, COLA, MRPC, ACCEPTABILITY, PARAPHRASE])
def test_a_task_is_scored_in_points_its_main_metric_first(task: object) -> None:
    logits = np.array([[0.0, 1.0] if label else [1.0, 0.0] for label in PREDICTED], np.float32)
    scores = score(task, logits, np.array(LABELS))  # type: ignore[arg-type]
    in_points = {"accuracy": 70.0, "f1": 200 / 3, "matthews_correlation": 1000 / sqrt(600)}
    assert list(scores) == list(task.metrics)  # type: ignore[attr-defined]
    assert scores == pytest.approx({name: in_points[name] for name in scores}, rel=1e-14)


def test_the_first_class_is_predicted_where_two_logits_are_equal() -> None:
    logits = np.zeros((3, 2), np.float32)
    assert score(SST2, logits, np.array([0, 0, 1])) == {"accuracy": pytest.approx(200 / 3)}


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        # F1 of the classes: 2 right of 2 + 3, 1 of 2 + 2, and 1 of 2 + 1.
        ("f1_macro", (4 / 5 + 2 / 4 + 2 / 3) / 3),
        ("f1_weighted", (3 * 4 / 5 + 2 * 2 / 4 + 1 * 2 / 3) / 6),
        ("accuracy", 4 / 6),
    ],
)
def test_a_score_of_three_classes_is_that_worked_by_hand(metric: str, expected: float) -> None:
    found = measure(metric, [0, 0, 1, 1, 2, 2], [0, 0, 1, 0, 1, 2])
    assert found == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        # F1 of the labels: 2 right of 2 + 3, 1 of 1 + 1, none of 3 + 0.
        ("f1_macro", (4 / 5 + 2 / 2 + 0) / 3),
        ("f1_weighted", (3 * 4 / 5 + 1 * 2 / 2) / 4),
        ("f1_micro", 2 * 3 / (6 + 4)),
        ("subset_accuracy", 1 / 4),
    ],
)
def test_a_score_of_several_labels_is_that_worked_by_hand(metric: str, expected: float) -> None:
    assert measure(metric, SEVERAL, SEVERAL_LABELS) == pytest.approx(expected, rel=1e-14)
    nothing = [[0, 0]] * 3
    assert measure(metric, nothing, nothing) == (metric == "subset_accuracy")


def test_a_metric_of_another_kind_of_problem_is_refused_with_those_that_fit() -> None:
    require_metrics(("f1", "accuracy"), "single_label_classification", 2, where="here")
    with pytest.raises(UserError, match=r"here: the metric 'f1' is not for .* with 3 labels"):
        require_metrics(("f1",), "single_label_classification", 3, where="here")
    with pytest.raises(UserError, match=r"allowed: f1_macro, f1_weighted, f1_micro, subset_acc"):
        require_metrics(("accuracy",), "multi_label_classification", 3, where="here")
    for problem_type, names in DEFAULTS.items():
        require_metrics(names, problem_type, 3, where="here")


def test_a_metric_that_does_not_exist_is_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'accuracy'"):
        METRICS.get("acuracy")


@pytest.mark.parametrize(
    ("name", "own"), [("ece", "calibration_error"), ("auc", "roc_auc"), ("macro_f1", "f1_macro")]
)
def test_a_name_of_other_libraries_is_refused_with_the_name_here(name: str, own: str) -> None:
    with pytest.raises(UserError, match=f"s: no metric '{name}': here it is called '{own}'"):
        METRICS.get(name, where="s")
    assert own in METRICS
