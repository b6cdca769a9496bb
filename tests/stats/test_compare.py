"""Two arms are compared by example and by seed, with the noise of both."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from peftlab.stats.compare import Difference, compare, difference, hedges_g, superiority
from peftlab.stats.noise import Noise, SeedNoise
from peftlab.stats.outcomes import Outcomes
from peftlab.stats.resample import resample

Draw = Callable[..., Outcomes]


def of_seeds_alone(differences: list[float]) -> Difference:
    group = SeedNoise(spread=float(np.var(differences, ddof=1)), num_seeds=len(differences))
    return Difference(
        estimate=float(np.mean(differences)),
        noise=Noise(examples=0.0, num_examples=100, seeds=(group,)),
        num_seeds=len(differences),
        is_paired=True,
    )


def test_without_noise_of_examples_it_is_the_paired_t_test() -> None:
    differences = [1.0, 2.5, -0.5, 1.75]
    found = of_seeds_alone(differences)
    expected = stats.ttest_1samp(differences, 0)
    assert found.p_value == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("margin", [0.5, 1.0, 3.0])
def test_equivalence_is_the_worse_of_two_one_sided_tests(margin: float) -> None:
    differences = [0.4, -0.9, 0.8, 0.5]
    sides = [
        stats.ttest_1samp(differences, -margin, alternative="greater").pvalue,
        stats.ttest_1samp(differences, margin, alternative="less").pvalue,
    ]
    assert of_seeds_alone(differences).equivalence_p(margin) == pytest.approx(max(sides))


def test_an_excess_over_the_margin_is_tested_on_both_sides() -> None:
    differences = [2.4, 2.9, 2.8, 3.5]
    beyond = stats.ttest_1samp(differences, 1.0, alternative="greater").pvalue
    assert of_seeds_alone(differences).excess_p(1.0) == pytest.approx(2 * beyond)
    assert of_seeds_alone([-d for d in differences]).excess_p(1.0) == pytest.approx(2 * beyond)
    assert of_seeds_alone(differences).excess_p(50.0) == 1.0


def test_an_arm_does_not_differ_from_itself(draw: Draw) -> None:
    one = draw([0.8, 0.7, 0.9])
    found = compare(one, one)
    assert (found.estimate, found.low, found.high) == (0, 0, 0)
    assert (found.p_value, found.swap_p) == (1.0, 1.0)
    assert found.says_nothing, "there is no noise to test by"
    assert found.excess_p(0.1) == 1.0
    assert (found.effect_size, found.superiority) == (0, 0.5)


def test_a_difference_is_signed_and_turns_with_its_sides(draw: Draw) -> None:
    good = draw([0.9, 0.88, 0.92, 0.9, 0.9], chance=1)
    poor = draw([0.6, 0.62, 0.58, 0.6, 0.6], chance=2)
    found, turned = compare(good, poor), compare(poor, good)
    assert found.estimate == pytest.approx(good.scores_S.mean() - poor.scores_S.mean())
    assert found.low > 0
    assert found.p_value < 0.01
    assert turned.estimate == pytest.approx(-found.estimate)
    assert turned.high < 0
    assert (found.superiority, turned.superiority) == (1.0, 0.0)


def test_the_same_outcomes_give_the_same_comparison(draw: Draw) -> None:
    sides = draw([0.8, 0.7, 0.9], chance=1), draw([0.75, 0.7, 0.8], chance=2)
    assert compare(*sides) == compare(*sides)
    assert compare(*sides, seed=1) != compare(*sides)


def test_seeds_are_paired_by_name_whatever_their_order(draw: Draw) -> None:
    left = draw([0.9, 0.7, 0.8], seeds=(1, 2, 3))
    right = draw([0.8, 0.9, 0.7, 0.5], seeds=(3, 1, 2, 4))
    found = compare(left, right)
    assert (found.is_paired, found.num_seeds) == (True, 3)
    common = right.of_seeds([1, 2, 3])
    assert found.estimate == pytest.approx(left.scores_S.mean() - common.scores_S.mean())
    (group,) = found.noise.seeds
    assert group.spread == pytest.approx(np.var(left.scores_S - common.scores_S, ddof=1))


def test_without_a_seed_in_common_all_runs_of_each_are_compared(draw: Draw) -> None:
    left = draw([0.9, 0.7, 0.8], seeds=(1, 2, 3), chance=1)
    right = draw([0.8, 0.9, 0.7, 0.85], seeds=(4, 5, 6, 7), chance=2)
    found = compare(left, right)
    assert (found.is_paired, found.num_seeds, found.flip_p) == (False, 3, None)
    assert [group.num_seeds for group in found.noise.seeds] == [3, 4]
    assert found.estimate == pytest.approx(left.scores_S.mean() - right.scores_S.mean())


def test_pairing_by_example_takes_away_what_both_find_hard(draw: Draw) -> None:
    one = draw([0.8], num_examples=1000, chance=1)
    flipped = one.predictions_SN.copy()
    flipped[:, :10] = 1 - flipped[:, :10]
    twin = Outcomes(metric="accuracy", labels_N=one.labels_N, predictions_SN=flipped, seeds=(0,))
    paired = difference(*resample([one, twin], np.random.default_rng(0)))
    assert paired.noise.error == pytest.approx(100 * math.sqrt(10) / 1000, rel=0.1)
    single = difference(*resample([one, draw([0.8], num_examples=1000, chance=2)],
                                  np.random.default_rng(0)))  # fmt: skip
    assert single.noise.error > 4 * paired.noise.error


def test_hedges_g_by_hand() -> None:
    lefts, rights = np.array([3.0, 5.0, 7.0]), np.array([1.0, 2.0, 3.0])
    pooled = math.sqrt((2 * 4 + 2 * 1) / 4)
    assert hedges_g(lefts, rights) == pytest.approx((1 - 3 / 15) * 3 / pooled)
    assert hedges_g(lefts[:1], rights) is None
    assert hedges_g(np.array([1.0, 1.0]), np.array([2.0, 2.0])) is None


def test_superiority_counts_pairs_of_runs() -> None:
    assert superiority(np.array([1.0, 3.0]), np.array([1.0, 2.0])) == (0.5 + 0 + 1 + 1) / 4
    assert superiority(np.array([1.0]), np.array([1.0, 2.0])) is None
