"""The noise of examples and that of seeds add up to the variance of a mean."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from peftlab.stats.noise import (
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
        scores_S=np.array(scores),
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
    assert noise.degrees == pytest.approx(999)


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
    assert noise.degrees == 999
    assert noise.error**2 == pytest.approx(np.var(replicates.mean(axis=1), ddof=1))


def test_seeds_of_two_arms_that_are_not_paired_have_a_part_each() -> None:
    still = np.full((10, 3), 80.0)
    noise = noise_between(made([79.0, 80.0, 81.0], still), made([60.0, 80.0, 100.0], still))
    assert [group.variance for group in noise.seeds] == pytest.approx([1, 400])
    welch = stats.ttest_ind([79.0, 80.0, 81.0], [60.0, 80.0, 100.0], equal_var=False)
    assert noise.degrees == pytest.approx(welch.df)
    assert noise.error == pytest.approx(math.sqrt(401 / 3))


def test_the_degrees_are_those_of_the_spread_that_was_observed() -> None:
    def degrees(examples: float, spread: float, own: float = 0.0) -> float:
        seeds = (SeedNoise(spread=spread, own=own, num_seeds=3),)
        return Noise(examples=examples, num_examples=101, seeds=seeds).degrees

    assert degrees(0.0, 3.0) == pytest.approx(2)
    assert degrees(1.0, 3.0) == pytest.approx((1 + 1) ** 2 / (1 / 2))
    assert degrees(0.0, 1.5, own=3.0) == pytest.approx(1 / (0.5**2 / 2))
    assert degrees(1e6, 3.0) == 100
    assert Noise(examples=0.0, num_examples=0).degrees == math.inf
