"""Tails are those of textbook tests if there are any, and err no more often than they say."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from peftlab.stats.compare import Difference
from peftlab.stats.noise import Noise, SeedNoise
from peftlab.stats.tails import (
    always_valid_reach,
    always_valid_tail,
    fixed_tail,
    least_num_seeds,
    mixture_statistic,
    upper_quantile,
    upper_tail,
)

Groups = Sequence[tuple[float, float, int]]
MANY = 10**7
"""A number of examples so large that their part of the noise is normal."""


@pytest.mark.parametrize("num_seeds", [2, 3, 5, 10, 40])
@pytest.mark.parametrize("statistic", [-1.0, 0.0, 1.0, 3.0, 12.0])
def test_with_noise_of_seeds_alone_it_is_the_t_test(num_seeds: int, statistic: float) -> None:
    distance = statistic * math.sqrt(4.0 / num_seeds)
    found = fixed_tail(distance, 0.0, 0, [(4.0, 0.0, num_seeds)])
    assert found == pytest.approx(stats.t.sf(statistic, num_seeds - 1), rel=2e-3)


@pytest.mark.parametrize("statistic", [-1.0, 0.5, 3.0, 6.0])
def test_without_seeds_it_is_the_t_test_of_the_examples_and_normal_of_many(
    statistic: float,
) -> None:
    distance = 1.5 * statistic
    few, many, unknown = (fixed_tail(distance, 2.25, size, []) for size in (20, MANY, 0))
    assert few == pytest.approx(stats.t.sf(statistic, 19))
    assert many == pytest.approx(stats.norm.sf(statistic), rel=1e-4)
    assert unknown == pytest.approx(stats.norm.sf(statistic))


def test_with_many_seeds_it_is_normal_with_the_variance_of_both() -> None:
    distance = 2.5 * math.sqrt(1 + 9 / 2000)
    found = fixed_tail(distance, 1.0, MANY, [(9.0, 0.0, 2000)])
    assert found == pytest.approx(stats.norm.sf(2.5), rel=1e-3)


@pytest.mark.parametrize("sizes", [(3, 3), (3, 10), (6, 4)])
def test_two_groups_are_behrens_and_fishers(sizes: tuple[int, int]) -> None:
    """They test the difference of two independent t variables, each in its standard error."""
    spreads = (1.0, 4.0)
    scales = [math.sqrt(own / size) for own, size in zip(spreads, sizes, strict=True)]
    first, second = (stats.t(size - 1) for size in sizes)
    groups = [(own, 0.0, size) for own, size in zip(spreads, sizes, strict=True)]
    for distance in (0.5, 2.0, 5.0):

        def above(value: float, distance: float = distance) -> float:
            return float(first.pdf(value) * second.sf((distance - scales[0] * value) / scales[1]))

        expected, _ = integrate.quad(above, -np.inf, np.inf, limit=200)
        assert fixed_tail(distance, 0.0, 0, groups) == pytest.approx(expected, rel=5e-3)


def test_it_is_the_mean_over_what_the_spread_says_of_the_true_one() -> None:
    """It is compared with plain draws, with every part of the noise."""
    groups = [(1.0, 1.5, 3), (4.0, 0.5, 6)]
    generator = np.random.default_rng(0)
    variance = np.full(200_000, 0.8)
    for spread, own, size in groups:
        draws = generator.chisquare(size - 1, 200_000)
        variance += np.maximum((size - 1) * spread / draws, own) / size
    for distance in (1.0, 3.0, 6.0):
        tails = stats.norm.sf(distance / np.sqrt(variance))
        error = 4 * tails.std() / math.sqrt(len(tails)) + 2e-3 * tails.mean()
        assert fixed_tail(distance, 0.8, MANY, groups) == pytest.approx(tails.mean(), abs=error)


def test_three_seeds_that_agree_by_chance_are_no_proof() -> None:
    """The standard errors are 0.03 (seeds) and 0.05 (examples), and the arms 1.5 points apart."""
    group = SeedNoise(spread=3 * 0.03**2, num_seeds=3)
    found = Difference(
        estimate=1.5,
        noise=Noise(examples=0.05**2, num_examples=1000, seeds=(group,)),
        num_seeds=3,
        is_paired=True,
    )
    of_seeds_alone = 2 * stats.t.sf(1.5 / 0.03, 2)
    assert of_seeds_alone == pytest.approx(4e-4, rel=0.01)
    assert found.p_value >= 0.99 * of_seeds_alone
    assert found.p_value < 2 * of_seeds_alone


def size(level: float, examples: float, own: float, num_seeds: int) -> float:
    """Return how often a true difference of 0 is called above 0 at a level, if runs spread by 1.

    It is integrated over s^2, of which the estimate is independent.
    """
    nodes, weights = np.polynomial.legendre.leggauss(48)
    shares = (nodes + 1) / 2
    found = 0.0
    for share, weight in zip(shares, weights / 2, strict=True):
        spread = stats.chi2.ppf(share, num_seeds - 1) / (num_seeds - 1)
        groups = [(float(spread), own, num_seeds)]
        least = optimize.brentq(
            lambda distance, groups=groups: fixed_tail(distance, examples, MANY, groups) - level,
            0.0,
            1e4,
            rtol=1e-6,
        )
        found += weight * stats.norm.sf(least / math.sqrt(examples + 1 / num_seeds))
    return float(found)


@pytest.mark.parametrize("num_seeds", [3, 10])
@pytest.mark.parametrize("examples", [0.0, 0.02, 0.2, 2.0])
@pytest.mark.parametrize("own", [0.0, 0.5])
def test_it_errs_no_more_often_than_its_level(num_seeds: int, examples: float, own: float) -> None:
    for level in (0.025, 0.0025):
        found = size(level, examples, own, num_seeds)
        assert found <= level * 1.01
        if own == examples == 0:
            assert found >= level * 0.99, "it is the t test"


@pytest.mark.parametrize(("num_seeds", "degrees"), [(5, 4), (8, 7), (3, 5)])
def test_the_mixture_is_that_over_effects_of_one_deviation(num_seeds: int, degrees: int) -> None:
    """The density of t is integrated over normal effects, and divided by that without one."""
    statistic = math.sqrt(float(mixture_statistic(np.array([0.2]), num_seeds, degrees)[0]))

    def weighted(effect: float) -> float:
        shift = effect * math.sqrt(num_seeds)
        return float(stats.nct.pdf(statistic, degrees, shift) * stats.norm.pdf(effect))

    mixed, _ = integrate.quad(weighted, -8, 8, limit=200)
    assert mixed / stats.t.pdf(statistic, degrees) == pytest.approx(1 / 0.2, rel=1e-6)


def test_no_statistic_of_fewer_than_five_seeds_is_enough_at_five_percent() -> None:
    found = [float(mixture_statistic(np.array([0.05]), size, size - 1)[0]) for size in range(2, 8)]
    assert [math.isfinite(one) for one in found] == [False, False, False, True, True, True]
    assert found[3] > found[4] > found[5]


def test_each_estimate_has_its_own_tail_and_beyond_the_bound_it_is_one() -> None:
    distances, of_seeds = np.array([-1.0, 0.0, 1e-4, 3.0, 6.0]), np.array([0.2, 0.2, 0.2, 0.2, 0.8])
    together = always_valid_tail(distances, 0.1, 400, of_seeds, 6, 5)
    apart = [
        float(always_valid_tail(distances[[one]], 0.1, 400, of_seeds[[one]], 6, 5)[0])
        for one in range(5)
    ]
    assert together.tolist() == apart
    assert together[:3].tolist() == [1.0, 1.0, 1.0]
    assert 0 < together[4] < together[3] < 0.5, "twice as far, with more noise of the seeds alone"


def ever_decided(
    examples: float, own: float, num_studies: int, looks: Sequence[int], level: float = 0.05
) -> float:
    """Return the share of studies without a difference that any look at these seeds decides."""
    generator = np.random.default_rng(3)
    runs = generator.normal(0, 1, (num_studies, max(looks)))
    shared = generator.normal(0, math.sqrt(examples), num_studies)
    is_decided = np.zeros(num_studies, dtype=bool)
    for number in looks:
        seen = runs[:, :number]
        of_seeds = np.maximum(seen.var(axis=1, ddof=1), own) / number
        distances = np.abs(seen.mean(axis=1) + shared)
        levels = np.array([level])
        is_decided |= distances >= always_valid_reach(
            levels, examples, 0, of_seeds, number, number - 1
        )
    return float(is_decided.mean())


@pytest.mark.parametrize(
    ("examples", "own"), [(0.0, 0.0), (0.1, 0.0), (0.3, 0.0), (0.3, 0.8), (1.0, 0.0)]
)
def test_many_looks_err_no_more_often_than_one_may(examples: float, own: float) -> None:
    """At every number of seeds from 5 to 20, and then at every fifth up to 100.

    The bound is four binomial deviations above 5%. The t test at each of the first 16 looks would
    err in 19%, and a bound that gives the examples all of the level in 6.9%.
    """
    num_studies = 8000
    share = ever_decided(examples, own, num_studies, (*range(5, 21), *range(25, 101, 5)))
    assert share <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / num_studies)


def test_the_tail_is_half_of_the_level_whose_bound_the_estimate_just_reaches() -> None:
    level, examples, of_seeds = 0.03, 0.4, 0.3
    noise = examples, 700, np.array([of_seeds]), 9, 8
    reach = always_valid_reach(np.array([level]), *noise)
    square = mixture_statistic(np.array([level]), 9, 8) * of_seeds
    assert reach**2 == pytest.approx(square + stats.t.ppf(1 - level / 4, 699) ** 2 * examples)
    found = always_valid_tail(reach, *noise)
    assert found == pytest.approx([level / 2])


def test_tail_and_quantile_belong_together_and_are_normal_for_no_degrees() -> None:
    statistics = np.array([-1.0, 0.5, 4.0])
    for degrees in (0, 3, 60):
        tails = upper_tail(statistics, degrees)
        expected = stats.t.sf(statistics, degrees) if degrees else stats.norm.sf(statistics)
        assert tails == pytest.approx(expected)
        assert upper_quantile(tails, degrees) == pytest.approx(statistics)


@pytest.mark.parametrize(
    ("num_tests", "paired", "apart"), [(1, 5, 6), (2, 6, 7), (5, 6, 8), (20, 7, 9)]
)
def test_with_fewer_seeds_no_estimate_reaches_the_level_of_so_many_tests(
    num_tests: int, paired: int, apart: int
) -> None:
    for num_groups, least in ((1, paired), (2, apart)):
        assert least_num_seeds(0.05 / num_tests, num_groups) == least
        for num, is_enough in ((least - 1, False), (least, True)):
            found = always_valid_tail(
                np.array([1e9]), 1.0, 100, np.array([1.0]), num / num_groups, num - 1
            )
            assert (2 * found[0] <= 0.05 / num_tests) == is_enough


def test_where_too_few_seeds_can_tell_a_spread_of_zero_does_not_help() -> None:
    reach = always_valid_reach(np.array([0.05]), 1.0, 100, np.array([0.0]), 4, 3)
    assert reach[0] == np.inf
