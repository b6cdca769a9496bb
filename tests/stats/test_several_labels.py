"""Examples that may have several labels go through every statistic, each a row of 0 and 1."""

from __future__ import annotations

import numpy as np
import pytest

from peftlab.stats.compare import compare
from peftlab.stats.outcomes import Outcomes
from peftlab.stats.permutation import mcnemar_test
from peftlab.stats.resample import patterns, resample
from peftlab.tasks.metrics.registry import METRICS


def outcomes(
    chance: int, *, seeds: int = 2, right: float = 0.8, metric: str = "f1_macro"
) -> Outcomes:
    labels = np.random.default_rng(0).integers(0, 2, (90, 3))
    generator = np.random.default_rng([chance, 1])
    is_right = generator.random((seeds, 90, 3)) < right
    return Outcomes(
        metric=metric,
        labels_N=labels,
        predictions_SN=np.where(is_right, labels, 1 - labels),
        seeds=tuple(range(seeds)),
    )


def test_one_answer_for_all_is_the_commonest_set_of_labels() -> None:
    labels = np.array([[1, 0], [1, 0], [0, 1]])
    found = Outcomes(
        metric="subset_accuracy", labels_N=labels, predictions_SN=labels[None], seeds=(1,)
    )
    assert found.scores_S.tolist() == [100.0]
    assert found.best_constant.score == pytest.approx(200 / 3)


def test_patterns_hold_every_example_once() -> None:
    left, right = outcomes(1), outcomes(2)
    found = patterns([left, right])
    assert found.sizes_P.sum() == 90 > len(found.sizes_P)
    rows = np.concatenate([left.labels_N[None], left.predictions_SN, right.predictions_SN])
    kept = np.concatenate([found.labels_P[None], *found.predictions])
    repeated = np.repeat(kept, found.sizes_P, axis=1)
    by_example = [np.moveaxis(one, 1, 0).reshape(90, -1).tolist() for one in (rows, repeated)]
    assert sorted(by_example[0]) == sorted(by_example[1])


def test_replicates_are_the_metric_of_the_drawn_examples() -> None:
    one = outcomes(1)
    (found,) = resample([one], np.random.default_rng(3), num=2000)
    generator = np.random.default_rng(4)
    weights = generator.multinomial(90, [1 / 90] * 90, 2000).astype(float)
    plain = METRICS.get("f1_macro").weighted_scores(weights, one.labels_N, one.predictions_SN)
    spread = plain.std(axis=0)
    # Four deviations of what 2,000 draws on either side estimate.
    assert np.abs(found.replicates_RS.mean(axis=0) - plain.mean(axis=0)) == pytest.approx(
        0, abs=float(4 * spread.max() * (2 / 2000) ** 0.5)
    )
    assert found.replicates_RS.std(axis=0) == pytest.approx(spread, rel=0.1)


def test_an_arm_does_not_differ_from_itself_and_does_from_a_worse_one() -> None:
    one = outcomes(1, seeds=4)
    same, worse = compare(one, one), compare(one, outcomes(2, seeds=4, right=0.6))
    assert (same.estimate, same.swap_p) == (0.0, 1.0)
    assert worse.estimate > 10
    assert max(worse.p_value, worse.swap_p) < 0.01


def test_an_example_is_right_where_all_its_labels_are() -> None:
    left, right = (outcomes(n, seeds=1, metric="subset_accuracy") for n in (1, 2))
    is_right = [(own.predictions_SN[0] == own.labels_N).all(axis=1) for own in (left, right)]

    def as_classes(right_N: np.ndarray) -> Outcomes:
        return Outcomes(
            metric="accuracy",
            labels_N=np.ones(90, dtype=np.int64),
            predictions_SN=right_N[None].astype(np.int64),
            seeds=(0,),
        )

    expected = mcnemar_test(as_classes(is_right[0]), as_classes(is_right[1]))
    assert expected is not None
    assert mcnemar_test(left, right) == expected
