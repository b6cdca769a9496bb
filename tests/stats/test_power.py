"""The number of further seeds is the one with which a simulated study would decide."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from peftlab.stats.compare import Difference
from peftlab.stats.noise import Noise, SeedNoise
from peftlab.stats.power import FurtherSeeds, detectable_spreads, further_seeds


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


def further(one: Difference, level: float = 0.05, margin: float | None = None) -> int | str:
    said = further_seeds(one, margin, level, np.random.default_rng(0))
    return said.num if isinstance(said, FurtherSeeds) else said


def share_decided(one: Difference, extra: int, margin: float | None = None) -> float:
    """Return how often today's runs, with this mean and spread, decide together with new ones.

    The test is the one for a reader who has looked, and sees another spread each time.
    """
    generator = np.random.default_rng(1)
    (group,) = one.noise.seeds
    start = generator.normal(size=group.num_seeds)
    start = one.estimate + (start - start.mean()) / start.std(ddof=1) * math.sqrt(group.spread)
    num_decided = 0
    for _ in range(300):
        new = generator.normal(one.estimate, math.sqrt(group.spread), extra)
        runs = np.concatenate([start, new])
        noise = Noise(
            examples=one.noise.examples,
            num_examples=one.noise.num_examples,
            seeds=(SeedNoise(spread=float(runs.var(ddof=1)), num_seeds=len(runs)),),
        )
        seen = replace(one, estimate=float(runs.mean()), noise=noise, is_always_valid=True)
        p_value = seen.p_value if margin is None else seen.equivalence_p(margin)
        num_decided += p_value <= 0.05
    return num_decided / 300


@pytest.mark.parametrize(
    ("estimate", "examples", "margin"), [(2.0, 0.0, None), (2.0, 0.3, None), (0.2, 0.2, 2.0)]
)
def test_it_is_enough_for_a_test_that_was_looked_at_and_fewer_are_not(
    estimate: float, examples: float, margin: float | None
) -> None:
    one = found(estimate, examples=examples, seeds=4.0)
    more = further(one, margin=margin)
    assert isinstance(more, int)
    slack = 4 * math.sqrt(0.16 / 300)
    assert share_decided(one, more, margin) >= 0.8 - slack
    assert share_decided(one, more // 2, margin) < 0.8 - slack


def test_a_larger_difference_takes_fewer_seeds() -> None:
    counts = [further(found(size, examples=0.1, seeds=4.0)) for size in (1.5, 2.0, 4.0)]
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
    assert isinstance(further(one, margin=1.0), int)
    assert further(one, margin=0.2) == "examples"


def test_a_difference_beyond_the_margin_is_decided_as_one_that_is_so_much_smaller() -> None:
    beyond = further(found(3.0, examples=0.1, seeds=2.0), margin=1.0)
    assert beyond == further(found(2.0, examples=0.1, seeds=2.0))


def test_it_is_never_less_than_a_test_that_was_looked_at_needs() -> None:
    """However clear the difference, it needs five pairs at 5%, six at 1% and eight at 0.1%."""
    clear = found(50.0, examples=0.0, seeds=1.0)
    assert [further(clear, level) for level in (0.05, 0.01, 0.001)] == [2, 3, 5]


def test_the_power_is_that_of_the_number_which_is_given() -> None:
    """The least number that any test needs can be more than enough."""
    for one in (found(50.0, examples=0.0, seeds=1.0), found(1.5, examples=0.1, seeds=4.0)):
        said = further_seeds(one, None, 0.05, np.random.default_rng(0))
        assert isinstance(said, FurtherSeeds)
        slack = 4 * math.sqrt(0.25 / 300)
        assert said.power == pytest.approx(share_decided(one, said.num), abs=slack)
        assert said.power == 1.0 or said.power < 0.85


def test_examples_that_tell_two_arms_apart_are_too_few_for_any_number_of_seeds() -> None:
    one = found(1.0, examples=0.1, seeds=0.1)
    assert isinstance(further(one), int)
    assert further(replace(one, noise=replace(one.noise, grain=0.8))) == "examples"


def test_one_run_does_not_tell_how_runs_differ() -> None:
    with pytest.raises(ValueError):
        further(found(1.0, examples=1.0, seeds=1.0, groups=0))


@pytest.mark.parametrize("num_seeds", [4, 8])
def test_the_chance_is_that_over_all_truths_which_the_runs_leave_possible(num_seeds: int) -> None:
    """As often as in studies of any true difference and spread that come out like this one.

    Studies are drawn with differences that are as likely as each other, and kept where the first
    runs have today's t statistic. All have the spread 1: to differences and logarithms of the
    spread that are as likely as each other belongs the weight 1 / s.
    """
    wanted = 1.5 / math.sqrt(num_seeds)
    one = found(wanted, examples=0.0, seeds=1.0, num_seeds=num_seeds)
    said = further_seeds(one, None, 0.05, np.random.default_rng(0))
    assert isinstance(said, FurtherSeeds)
    generator = np.random.default_rng(2)
    truths = generator.uniform(-6, 6, (400_000, 1))
    first = generator.normal(truths, 1, (len(truths), num_seeds))
    statistics = first.mean(axis=1) / first.std(axis=1, ddof=1)
    alike = np.abs(statistics - wanted) < 0.05
    decided, weights = [], []
    for truth, start in list(zip(truths[alike], first[alike], strict=True))[:1000]:
        runs = np.concatenate([start, generator.normal(truth, 1, said.num)])
        seen = found(float(runs.mean()), examples=0.0, seeds=float(runs.var(ddof=1)))
        noise = replace(seen.noise.seeds[0], num_seeds=len(runs))
        seen = replace(seen, noise=replace(seen.noise, seeds=(noise,)), is_always_valid=True)
        decided.append(seen.p_value <= 0.05)
        weights.append(1 / start.std(ddof=1))
    share = np.average(decided, weights=weights)
    assert said.chance == pytest.approx(share, abs=0.07)
    assert said.chance < 0.7
    assert len(decided) > 500


def test_what_few_seeds_can_find_has_the_power_in_truth() -> None:
    size = detectable_spreads(5)
    runs = np.random.default_rng(0).normal(size, 1, (20_000, 5))
    share = np.mean(stats.ttest_1samp(runs, 0, axis=1).pvalue <= 0.05)
    assert share == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / 20_000))
    assert detectable_spreads(3) > 1.9 * size
