"""Every metric agrees with scikit-learn or scipy, with examples repeated by their weights."""

from __future__ import annotations

import numpy as np
import pytest

from peftlab.tasks.metrics.metric import Metric
from peftlab.tasks.metrics.registry import METRICS
from tests.tasks.metrics.reference import NAMES, reference

BINARY = ("accuracy", "f1", "precision", "recall")
CLASSES = (
    *BINARY, "f1_macro", "f1_weighted", "matthews_correlation", "precision_macro", "recall_macro",
    "balanced_accuracy",
)  # fmt: skip
SEVERAL = (
    "f1_micro", "subset_accuracy", "f1_macro of several", "f1_weighted of several",
    "precision_macro of several", "recall_macro of several",
)  # fmt: skip
OF_LOGITS = ("roc_auc", "average_precision", "log_loss", "brier", "calibration_error")
LOGITS_OF_TWO = tuple(f"{name} of two" for name in OF_LOGITS)
LOGITS_OF_SEVERAL = tuple(f"{name} of several" for name in OF_LOGITS[:-1])
CASES = (
    *(name for name in NAMES if name not in SEVERAL), *SEVERAL, *LOGITS_OF_TWO, *LOGITS_OF_SEVERAL
)  # fmt: skip


def metric_of(case: str) -> str:
    return case.removesuffix(" of several").removesuffix(" of two")


def sides(metric: str, num_examples: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and the predictions of three seeds; for a correlation, scores with ties.

    Logits have few distinct values, so that probabilities are tied.
    """
    generator = np.random.default_rng(3)
    if metric_of(metric) in OF_LOGITS:
        return sides_of_logits(generator, metric, num_examples)
    is_scores = metric not in CLASSES + SEVERAL
    shape = (num_examples, 4) if metric in SEVERAL else (num_examples,)
    most = 4 if metric in CLASSES and metric not in BINARY else 2
    labels = generator.integers(0, 9 if is_scores else most, shape)
    others = generator.integers(0, 5 if is_scores else most, (3, *shape))
    predictions = np.where(generator.random((3, *shape)) < 0.6, labels, others)
    if not is_scores:
        return labels, predictions
    return labels / 2.0, predictions + generator.integers(0, 2, (3, num_examples)) / 4.0


def sides_of_logits(
    generator: np.random.Generator, case: str, num_examples: int
) -> tuple[np.ndarray, np.ndarray]:
    num_classes = 2 if case.endswith(" of two") else 4
    several = case.endswith(" of several")
    shape = (num_examples, num_classes) if several else num_examples
    labels = generator.integers(0, 2 if several else num_classes, shape)
    logits = generator.integers(-4, 5, (3, num_examples, num_classes)) / 2
    logits += 1.5 * (labels if several else np.eye(num_classes)[labels])
    return labels, logits.astype(np.float32)


def draw_weights(num_examples: int, chance: int, num: int = 20) -> np.ndarray:
    generator = np.random.default_rng(chance)
    return generator.multinomial(num_examples, [1 / num_examples] * num_examples, num)


def assert_repeats(
    metric: str, weights: np.ndarray, labels: np.ndarray, predictions: np.ndarray
) -> None:
    """Assert that each row of weights scores as the reference on examples repeated so often."""
    found = METRICS.get(metric).weighted_scores(weights.astype(float), labels, predictions)
    assert found.shape == (len(weights), len(predictions))
    for row, counts in zip(found, weights, strict=True):
        repeated = np.repeat(labels, counts, axis=0)
        expected = [
            reference(metric, repeated, np.repeat(own, counts, axis=0)) for own in predictions
        ]
        assert row == pytest.approx(expected, rel=1e-12, abs=1e-10)


def test_every_metric_has_its_reference() -> None:
    assert tuple(METRICS.names()) == NAMES


@pytest.mark.parametrize("case", CASES)
def test_a_score_is_that_of_the_reference(case: str) -> None:
    metric = metric_of(case)
    for num_examples in (2, 60, 2000):
        labels, predictions = sides(case, num_examples)
        expected = [reference(metric, labels, own) for own in predictions]
        found = METRICS.get(metric).scores(labels, predictions)
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_weights_repeat_examples(case: str) -> None:
    labels, predictions = sides(case)
    assert_repeats(metric_of(case), draw_weights(len(labels), 4), labels, predictions)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("side", ["labels", "predictions"])
def test_a_side_that_is_constant_scores_as_the_metric_says(case: str, side: str) -> None:
    labels, predictions = sides(case)
    if side == "predictions" and predictions.ndim > 2 and labels.ndim == 1:
        predictions = np.broadcast_to(predictions[:, :1], predictions.shape)
    elif side == "labels":
        labels = np.full_like(labels, 0.1 if labels.dtype.kind == "f" else 1)
    else:
        predictions = np.full_like(predictions, 0.1 if labels.dtype.kind == "f" else 1)
    weights = np.random.default_rng(5).integers(1, 4, (2, len(labels)))
    assert_repeats(metric_of(case), weights, labels, predictions)


def test_scores_near_one_another_correlate_as_the_reference_says() -> None:
    generator = np.random.default_rng(7)
    labels = generator.integers(0, 26, 500) / 5
    predictions = 3 + 1e-3 * (labels + generator.normal(size=(2, 500)))
    predictions = predictions.astype(np.float32).astype(np.float64)
    for metric in ("pearson", "spearman"):
        expected = [reference(metric, labels, own) for own in predictions]
        found = METRICS.get(metric).scores(labels, predictions)
        assert found == pytest.approx(expected, rel=1e-12)


def test_matthews_correlation_of_three_classes_is_that_of_the_reference() -> None:
    generator = np.random.default_rng(6)
    labels = generator.integers(0, 3, 50)
    predictions = np.where(generator.random(50) < 0.5, labels, generator.integers(0, 3, 50))
    found = METRICS.get("matthews_correlation").scores(labels, predictions[None])
    expected = reference("matthews_correlation", labels, predictions)
    assert found[0] == pytest.approx(expected, rel=1e-12)


def test_f1_is_zero_where_neither_side_holds_class_one() -> None:
    nothing = np.zeros(5, dtype=np.int64)
    assert METRICS.get("f1").scores(nothing, nothing[None]) == [0]


def test_a_metric_without_a_weighted_form_is_measured_on_rows_that_repeat() -> None:
    labels, predictions = sides("f1_macro")
    plain = METRICS.get("f1_macro")
    weights = draw_weights(len(labels), 8).astype(float)
    rows = Metric(
        kinds=plain.kinds,
        reads="answers",
        measure=lambda own, found: reference("f1_macro", found, own) / 100,
    )
    for arguments in ((weights, labels, predictions), (np.ones((1, 60)), labels, predictions)):
        expected = plain.weighted_scores(*arguments)
        assert rows.weighted_scores(*arguments) == pytest.approx(expected, rel=1e-12)


def test_a_metric_is_defined_in_one_way() -> None:
    kinds = METRICS.get("accuracy").kinds
    for ways in ({}, {"measure": lambda *_: 1.0, "weighted": lambda *_: np.ones((1, 1))}):
        with pytest.raises(ValueError, match="by `measure` or by `weighted`"):
            Metric(kinds=kinds, **ways)
