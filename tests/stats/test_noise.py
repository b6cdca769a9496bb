"""The noise of examples and that of seeds add up to the variance of a mean."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from peftlab.stats.noise import (
    LEVEL,
    NUM_ADDED,
    Noise,
    SeedNoise,
    interaction,
    noise_between,
    noise_of,
    noise_of_seeds,
)
from peftlab.stats.resample import Resampled


def made(scores: list[float], replicates: np.ndarray, num_examples: int = 1000) -> Resampled:
    return Resampled(
        merits_S=np.array(scores),
        replicates_RS=replicates,
        seeds=tuple(range(len(scores))),
        num_examples=num_examples,
    )


def test_scores_alone_give_the_t_interval_of_their_mean() -> None:
    scores = np.array([80.0, 82.0, 87.0, 81.0])
    low, high = stats.t.interval(0.95, 3, scores.mean(), stats.sem(scores))
    noise = noise_of_seeds(scores)
    assert noise.degrees == pytest.approx(3)
    assert noise.half_width == pytest.approx((high - low) / 2)


def test_one_score_has_no_noise_that_could_be_known() -> None:
    assert noise_of_seeds(np.array([80.0])).half_width == 0


def test_one_seed_has_the_noise_of_its_examples() -> None:
    replicates = np.random.default_rng(0).normal(80, 2, (500, 1))
    noise = noise_of(made([80.0], replicates))
    assert noise.seeds == ()
    assert noise.error == pytest.approx(replicates.std(ddof=1))
    assert noise.half_width == pytest.approx(stats.t.ppf(0.975, 999) * noise.error)


def test_the_parts_are_taken_apart() -> None:
    generator = np.random.default_rng(1)
    shared = generator.normal(0, 3, (40_000, 1))
    own = generator.normal(0, 2, (40_000, 4))
    scores = [70.0, 80.0, 90.0, 76.0]
    one = made(scores, 80 + shared + own)
    assert interaction(one) == pytest.approx(4, rel=0.03)
    noise = noise_of(one)
    assert noise.examples == pytest.approx(9, rel=0.03)
    (group,) = noise.seeds
    assert group.spread == group.variance == pytest.approx(np.var(scores, ddof=1))
    assert (group.own, group.num_seeds) == (interaction(one), 4)
    assert noise.error**2 == pytest.approx(9 + np.var(scores, ddof=1) / 4, rel=0.03)


def test_seeds_that_agree_by_chance_leave_what_the_bootstrap_of_the_mean_sees() -> None:
    generator = np.random.default_rng(1)
    replicates = 80 + generator.normal(0, 3, (2000, 1)) + generator.normal(0, 2, (2000, 5))
    noise = noise_of(made([80.0] * 5, replicates))
    of_mean = np.var(replicates.mean(axis=1), ddof=1)
    assert noise.error**2 == pytest.approx(of_mean)
    # The chance that more spread hid behind the agreement makes it somewhat wider, never narrower.
    least = stats.norm.ppf(0.975) * noise.error
    assert least <= noise.half_width < 1.01 * least


def test_seeds_of_two_arms_that_are_not_paired_have_a_part_each() -> None:
    still = np.full((10, 3), 80.0)
    noise = noise_between(made([79.0, 80.0, 81.0], still), made([60.0, 80.0, 100.0], still))
    assert [group.variance for group in noise.seeds] == pytest.approx([1, 400])
    assert (noise.degrees, noise.num_pairs) == (2, 1.5)
    assert noise.error == pytest.approx(math.sqrt(401 / 3))


def test_the_smaller_group_says_how_well_the_spread_is_known() -> None:
    groups = tuple(SeedNoise(spread=1.0, num_seeds=size) for size in (4, 12))
    noise = Noise(examples=0.0, num_examples=100, seeds=groups)
    assert noise.degrees == 3
    assert noise.num_pairs == pytest.approx(3)


def test_examples_that_tell_two_arms_apart_count_two_more_in_tests_and_not_in_the_error() -> None:
    """Each of 100 examples counts one point: 2 points squared."""
    replicates = np.random.default_rng(0).normal(80, 2, (500, 1))
    plain = noise_of(made([80.0], replicates))
    grown = noise_of(made([80.0], replicates), grain=NUM_ADDED * 1.0)
    assert grown.error == plain.error
    scale = math.sqrt(plain.error**2 + 2)
    assert grown.half_width == pytest.approx(stats.t.ppf(0.975, 999) * scale)
    assert grown.tail(3.0) == pytest.approx(stats.t.sf(3 / scale, 999))


def test_where_nothing_varies_few_examples_give_no_interval_either() -> None:
    noise = noise_of(made([80.0] * 3, np.full((10, 3), 80.0)), grain=2.0)
    assert not noise.is_known
    assert noise.half_width == 0


@pytest.mark.parametrize("tail", [Noise.tail, Noise.always_valid_tail])
def test_an_interval_ends_where_the_test_of_its_end_has_its_level(
    tail: Callable[[Noise, float], float],
) -> None:
    seeds = (SeedNoise(spread=4.0, own=1.0, num_seeds=6),)
    noise = Noise(examples=0.3, num_examples=500, seeds=seeds, grain=0.1)
    half = noise.half_width if tail is Noise.tail else noise.always_valid_reach(LEVEL)
    assert tail(noise, half) == pytest.approx(LEVEL / 2, rel=1e-4)


def test_any_number_of_looks_costs_width_and_below_five_seeds_nothing_is_shown() -> None:
    def of(num_seeds: int) -> Noise:
        seeds = (SeedNoise(spread=4.0, num_seeds=num_seeds),)
        return Noise(examples=0.3, num_examples=500, seeds=seeds)

    assert [math.isfinite(of(size).always_valid_reach(LEVEL)) for size in (2, 3, 4, 5, 6)] == [
        False, False, False, True, True,
    ]  # fmt: skip
    assert of(4).always_valid_tail(1e6) > LEVEL / 2
    assert of(5).half_width < of(5).always_valid_reach(LEVEL)
    assert of(20).half_width < of(20).always_valid_reach(LEVEL) < of(5).half_width
