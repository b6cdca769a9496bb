"""Exchanged predictions give the p values of full enumeration."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from peftlab.stats.outcomes import Outcomes
from peftlab.stats.permutation import flip_test, mcnemar_test, swap_test
from tests.tasks.metrics.reference import reference

Draw = Callable[..., Outcomes]


@pytest.mark.parametrize("metric", ["accuracy", "f1", "matthews_correlation"])
def test_swaps_are_those_of_all_examples_enumerated(metric: str, draw: Draw) -> None:
    left = draw([0.95, 0.9], num_examples=6, metric=metric, chance=3)
    right = draw([0.5, 0.6], num_examples=6, metric=metric, chance=4)

    def gap(lefts: np.ndarray, rights: np.ndarray) -> float:
        scores = [
            [reference(metric, left.labels_N, row) for row in side] for side in (lefts, rights)
        ]
        return abs(float(np.mean(scores[0]) - np.mean(scores[1])))

    observed = gap(left.predictions_SN, right.predictions_SN)
    every = []
    for is_moved in itertools.product([False, True], repeat=6):
        moved = np.array(is_moved)
        every.append(
            gap(
                np.where(moved, right.predictions_SN, left.predictions_SN),
                np.where(moved, left.predictions_SN, right.predictions_SN),
            )
        )
    expected = np.mean(np.array(every) >= observed - 1e-12)
    found = swap_test(left, right, np.random.default_rng(0), num=4000)
    # Four deviations of a share of 4,000 draws.
    assert found == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 4000) ** 0.5)


def test_swaps_find_what_is_there_and_not_what_is_not(draw: Draw) -> None:
    good, same, poor = (draw([share], chance=c) for share, c in ((0.9, 1), (0.9, 2), (0.6, 3)))
    assert swap_test(good, poor, np.random.default_rng(0)) < 0.01
    assert swap_test(good, same, np.random.default_rng(0)) > 0.05
    assert swap_test(good, good, np.random.default_rng(0)) == 1.0


def test_the_first_seeds_are_taken_where_one_arm_has_more(draw: Draw) -> None:
    few, many = draw([0.9, 0.8], chance=1), draw([0.7, 0.6, 0.1], chance=2)
    expected = swap_test(few, many.of_seeds([0, 1]), np.random.default_rng(0))
    assert swap_test(few, many, np.random.default_rng(0)) == expected


@pytest.mark.parametrize("size", [6, 9])
def test_flips_of_few_seeds_are_those_of_scipy_enumerated(size: int) -> None:
    differences = np.random.default_rng(size).normal(0.5, 1, size)
    expected = stats.permutation_test(
        (differences,), lambda d, axis: np.mean(d, axis=axis), permutation_type="samples",
        n_resamples=np.inf, vectorized=True,
    ).pvalue  # fmt: skip
    assert flip_test(differences, np.random.default_rng(0)) == pytest.approx(expected)


def test_flips_of_many_seeds_are_drawn() -> None:
    differences = np.random.default_rng(1).normal(0.4, 1, 30)
    found = flip_test(differences, np.random.default_rng(0))
    assert found == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.03)


def test_too_few_seeds_have_no_flips() -> None:
    assert flip_test(np.full(5, 3.0), np.random.default_rng(0)) is None
    assert flip_test(np.full(6, 3.0), np.random.default_rng(0)) == 2 / 2**6


def test_mcnemar_counts_what_just_one_gets_right() -> None:
    labels = np.ones(20, dtype=np.int64)
    left, right = labels.copy(), labels.copy()
    left[:2], right[2:11] = 0, 0
    sides = [
        Outcomes(metric="accuracy", labels_N=labels, predictions_SN=own[None], seeds=(1,))
        for own in (left, right)
    ]
    assert mcnemar_test(*sides) == pytest.approx(stats.binomtest(9, 11).pvalue)
    assert mcnemar_test(sides[0], sides[0]) == 1.0


def test_mcnemar_is_for_one_seed_and_accuracy(draw: Draw) -> None:
    assert mcnemar_test(draw([0.8, 0.8]), draw([0.8])) is None
    assert mcnemar_test(draw([0.8], metric="f1"), draw([0.8], metric="f1")) is None
