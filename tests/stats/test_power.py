"""The number of further seeds is the one with which a simulated study would decide."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from peftlab.stats.compare import Difference
from peftlab.stats.noise import Noise, SeedNoise
from peftlab.stats.power import detectable_spreads, difference_p, equivalence_p, further_seeds


def found(
    estimate: float, *, examples: float, seeds: float, num_seeds: int = 3, groups: int = 1
) -> Difference:
    group = SeedNoise(spread=seeds, num_seeds=num_seeds)
    return Difference(
        estimate=estimate,
        noise=Noise(examples=examples, num_examples=1000, seeds=(group,) * groups),
        num_seeds=num_seeds,
        is_paired=groups == 1,
    )


def further(one: Difference, level: float = 0.05) -> int | str:
    return further_seeds(one, difference_p, level, np.random.default_rng(0))


def test_it_is_enough_and_one_less_is_not() -> None:
    one = found(1.0, examples=0.0, seeds=4.0)
    more = further(one)
    assert isinstance(more, int)

    def share(extra: int) -> float:
        """How often three runs whose mean and spread are today's and `extra` new ones decide."""
        generator = np.random.default_rng(1)
        start = np.array([-2.0, 0.0, 2.0]) + 1.0
        new = generator.normal(1.0, 2.0, (4000, extra))
        every = np.concatenate([np.tile(start, (4000, 1)), new], axis=1)
        return float(np.mean(stats.ttest_1samp(every, 0, axis=1).pvalue <= 0.05))

    assert share(more + 2) > 0.78
    assert share(max(more - 4, 0)) < 0.8


def test_a_larger_difference_takes_fewer_seeds() -> None:
    counts = [further(found(size, examples=0.1, seeds=4.0)) for size in (1.0, 1.5, 3.0)]
    assert counts == sorted(counts, key=int, reverse=True)
    assert counts[0] != counts[2]


def test_the_level_of_a_family_takes_more() -> None:
    one = found(1.5, examples=0.1, seeds=4.0)
    assert int(further(one, level=0.01)) > int(further(one))


def test_noise_of_examples_beyond_the_difference_forbids_it_at_any_number() -> None:
    assert further(found(1.0, examples=1.0, seeds=0.1)) == "examples"
    assert isinstance(further(found(2.5, examples=1.0, seeds=0.1)), int)


def test_a_difference_far_below_the_spread_takes_too_many() -> None:
    assert further(found(0.05, examples=0.0, seeds=4.0)) == "too many"


def test_arms_that_are_not_paired_get_the_seeds_each() -> None:
    paired = further(found(2.0, examples=0.0, seeds=2.0))
    assert int(further(found(2.0, examples=0.0, seeds=2.0, groups=2))) > int(paired)


def test_equivalence_within_the_margin_is_decided_too() -> None:
    one = found(0.1, examples=0.05, seeds=1.0)
    more = further_seeds(one, equivalence_p(1.0), 0.05, np.random.default_rng(0))
    assert isinstance(more, int)
    assert further_seeds(one, equivalence_p(0.2), 0.05, np.random.default_rng(0)) == "examples"


def test_one_run_does_not_tell_how_runs_differ() -> None:
    with pytest.raises(ValueError):
        further(found(1.0, examples=1.0, seeds=1.0, groups=0))


def test_what_few_seeds_can_find_has_the_power_in_truth() -> None:
    size = detectable_spreads(5)
    runs = np.random.default_rng(0).normal(size, 1, (20_000, 5))
    share = np.mean(stats.ttest_1samp(runs, 0, axis=1).pvalue <= 0.05)
    assert share == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / 20_000))
    assert detectable_spreads(3) > 1.9 * size
