"""Every metric under weights is the task's own metric of the examples that the weights repeat."""

from __future__ import annotations

import numpy as np
import pytest

from peftlab.stats.weighted import WEIGHTED
from peftlab.tasks.metrics import METRICS

NAMES = METRICS.names()
CLASSES = ("accuracy", "f1", "f1_macro", "f1_weighted", "matthews_correlation")
SEVERAL = ("f1_micro", "subset_accuracy", "f1_macro of several", "f1_weighted of several")
CASES = (*(name for name in NAMES if name not in SEVERAL), *SEVERAL)


def metric_of(case: str) -> str:
    return case.removesuffix(" of several")


def sides(metric: str, num_examples: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Labels and three seeds' predictions; for a correlation, scores with ties."""
    generator = np.random.default_rng(3)
    is_scores = metric not in CLASSES + SEVERAL
    shape = (num_examples, 4) if metric in SEVERAL else (num_examples,)
    most = 4 if "_" in metric and metric in CLASSES else 2
    labels = generator.integers(0, 9 if is_scores else most, shape)
    others = generator.integers(0, 5 if is_scores else most, (3, *shape))
    predictions = np.where(generator.random((3, *shape)) < 0.6, labels, others)
    if not is_scores:
        return labels, predictions
    return labels / 2.0, predictions + generator.integers(0, 2, (3, num_examples)) / 4.0


def test_every_metric_is_there() -> None:
    assert WEIGHTED.names() == NAMES


@pytest.mark.parametrize("case", CASES)
def test_weights_of_one_give_the_metric(case: str) -> None:
    metric, labels, predictions = metric_of(case), *sides(case)
    found = WEIGHTED.get(metric)(np.ones((1, len(labels))), labels, predictions)
    expected = [100 * METRICS.get(metric).measure(own, labels) for own in predictions]
    assert found.shape == (1, 3)
    assert found[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_weights_repeat_examples(case: str) -> None:
    metric, labels, predictions = metric_of(case), *sides(case)
    weights = np.random.default_rng(4).multinomial(len(labels), [1 / len(labels)] * len(labels), 20)
    found = WEIGHTED.get(metric)(weights.astype(float), labels, predictions)
    for row, counts in zip(found, weights, strict=True):
        repeated = np.repeat(predictions, counts, axis=1), np.repeat(labels, counts, axis=0)
        expected = [100 * METRICS.get(metric).measure(own, repeated[1]) for own in repeated[0]]
        assert row == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("side", ["labels", "predictions"])
def test_a_side_that_is_constant_scores_as_the_metric_says(case: str, side: str) -> None:
    metric, labels, predictions = metric_of(case), *sides(case)
    if side == "labels":
        labels = np.full_like(labels, 0.1 if labels.dtype.kind == "f" else 1)
    else:
        predictions = np.full_like(predictions, 0.1 if labels.dtype.kind == "f" else 1)
    weights = np.random.default_rng(5).integers(1, 4, (2, len(labels)))
    found = WEIGHTED.get(metric)(weights.astype(float), labels, predictions)
    for row, counts in zip(found, weights, strict=True):
        expected = [
            100
            * METRICS.get(metric).measure(
                np.repeat(own, counts, axis=0), np.repeat(labels, counts, axis=0)
            )
            for own in predictions
        ]
        assert row == pytest.approx(expected, abs=1e-9)


def test_matthews_correlation_of_three_classes_is_that_of_sklearn() -> None:
    from sklearn.metrics import matthews_corrcoef

    generator = np.random.default_rng(6)
    labels = generator.integers(0, 3, 50)
    predictions = np.where(generator.random(50) < 0.5, labels, generator.integers(0, 3, 50))
    found = WEIGHTED.get("matthews_correlation")(np.ones((1, 50)), labels, predictions[None])
    assert found[0, 0] == pytest.approx(100 * matthews_corrcoef(labels, predictions))


def test_f1_is_zero_where_neither_side_holds_class_one() -> None:
    nothing = np.zeros(5, dtype=np.int64)
    assert WEIGHTED.get("f1")(np.ones((1, 5)), nothing, nothing[None])[0, 0] == 0
