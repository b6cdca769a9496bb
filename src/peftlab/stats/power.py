"""The number of further seeds that would probably decide a comparison that is still open.

Reading that number is a look at the results, so that the test with those seeds must be the one that
holds for any number of looks (tails.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy.optimize import brentq

from peftlab.stats.compare import Difference
from peftlab.stats.noise import LEVEL, Noise, SeedNoise
from peftlab.tasks.problem import Floats

POWER = 0.8
NUM_STUDIES = 2000
MOST_SEEDS = 100
"""The largest total number of seeds that is considered; nobody waits for more."""

Hopeless = Literal["examples", "too many"]
"""The reason why no number of seeds is given: more than MOST_SEEDS would be needed, or no number
would be enough, since the noise of the examples alone is too large for the estimated difference."""


@dataclass(frozen=True, kw_only=True)
class FurtherSeeds:
    """The least number of further seeds with which at least POWER of studies are decided.

    `power` is the share of studies that `num` seeds decide if today's estimates are the truth, and
    `chance` their share over all true differences and spreads that the runs so far leave possible.
    With few runs the chance is well below the power.
    """

    num: int
    power: float
    chance: float


def further_seeds(
    found: Difference, margin: float | None, level: float, generator: np.random.Generator
) -> FurtherSeeds | Hopeless:
    """Return the least number of further seeds with which POWER of studies would be decided.

    The simulated studies keep the present seeds and examples and add seeds whose scores spread
    around today's estimate as today's do. `level` is that of the test, which asks whether the
    difference is zero, or with a `margin` in points whether it is within or beyond the margin.
    Raises ValueError for one seed, which does not tell how seeds differ.
    """
    noise = found.noise
    if not noise.seeds:
        raise ValueError("one seed does not tell how seeds differ")
    bounds = _of_examples(noise)
    if not _is_decided(np.array([found.estimate]), bounds, np.zeros(1), margin, level)[0]:
        return "examples"
    as_estimated = [_as_estimated(group, generator) for group in noise.seeds]
    most = MOST_SEEDS - min(group.num_seeds for group in noise.seeds)

    def share_decided(further: int, luck: Sequence[_Luck]) -> float:
        estimates_M, of_seeds_M, grown = _studies(found, further, luck)
        return float(np.mean(_is_decided(estimates_M, grown, of_seeds_M, margin, level)))

    if most < 1 or share_decided(most, as_estimated) < POWER:
        return "too many"
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        is_enough = share_decided(middle, as_estimated) >= POWER
        low, high = (low, middle) if is_enough else (middle, high)
    as_possible = [_as_possible(group, generator) for group in noise.seeds]
    return FurtherSeeds(
        num=high,
        power=share_decided(high, as_estimated),
        chance=share_decided(high, as_possible),
    )


def do_examples_forbid(found: Difference, margin: float, *, is_equivalence: bool = False) -> bool:
    """Return whether no number of seeds can decide a comparison, whatever they will show.

    It is decided where a difference is shown, or one of less than the `margin`; of an equivalence
    where the difference is shown to be less, or more, than the margin. What is asked of all true
    differences that the seeds so far leave possible (by Student's interval: this plans, and decides
    nothing) is whether the examples alone, at the level of a single test, are enough for one.
    """
    if not found.noise.seeds:
        return False
    bounds = _of_examples(found.noise)
    of_seeds = replace(found.noise, examples=0.0, grain=0.0, folds=None)
    doubt = of_seeds.half_width
    estimates_M = np.linspace(found.estimate - doubt, found.estimate + doubt, 101)
    none_M = np.zeros(len(estimates_M))
    is_decided_M = _is_decided(estimates_M, bounds, none_M, margin, LEVEL)
    if not is_equivalence:
        is_decided_M |= _is_decided(estimates_M, bounds, none_M, None, LEVEL)
    return not bool(is_decided_M.any())


def reach_of_examples(noise: Noise, level: float) -> float:
    """Return the half width of the interval of 1 - `level` that no number of seeds can narrow."""
    return _of_examples(noise).always_valid_reach(level)


def _of_examples(noise: Noise) -> Noise:
    """Return the noise with unlimited seeds, which is that of the examples alone."""
    return replace(noise, seeds=(SeedNoise(spread=0.0, num_seeds=MOST_SEEDS),))


@dataclass(frozen=True, kw_only=True)
class _Luck:
    """The random draws for a group of runs in each of M studies.

    `variances_M` are those of a run's score in points squared, `offsets_M` what the true mean is
    above today's in points, `means_M` the luck of the new runs' mean, standard normal, and
    `spreads_M` that of their sample variance, uniform from 0 to 1.
    """

    variances_M: Floats
    offsets_M: Floats
    means_M: Floats
    spreads_M: Floats


def _as_estimated(group: SeedNoise, generator: np.random.Generator) -> _Luck:
    """Return the draws of runs whose true mean and spread are today's estimates."""
    return _Luck(
        variances_M=np.full(NUM_STUDIES, group.variance),
        offsets_M=np.zeros(NUM_STUDIES),
        means_M=generator.normal(size=NUM_STUDIES),
        spreads_M=generator.random(NUM_STUDIES),
    )


def _as_possible(group: SeedNoise, generator: np.random.Generator) -> _Luck:
    """Return the draws of runs with a random true mean and spread, as for the generalized p value.

    (S - 1) s^2 / sigma^2 is a draw of chi square (tails.py), and today's mean one of the normal
    distribution around the true one.
    """
    degrees = group.num_seeds - 1
    drawn_M = degrees * group.spread / generator.chisquare(degrees, NUM_STUDIES)
    variances_M = np.maximum(drawn_M, group.own)
    offsets_M = generator.normal(size=NUM_STUDIES) * np.sqrt(variances_M / group.num_seeds)
    return replace(_as_estimated(group, generator), variances_M=variances_M, offsets_M=offsets_M)


def _studies(
    found: Difference, further: int, luck: Sequence[_Luck]
) -> tuple[Floats, Floats, Noise]:
    """Return the estimates of M studies with this many further seeds.

    These are the estimates [M] in points, the seeds' part of their variances [M], and a noise with
    that number of seeds.
    """
    estimates_M, of_seeds_M = np.full(NUM_STUDIES, found.estimate), np.zeros(NUM_STUDIES)
    groups = []
    for group, own in zip(found.noise.seeds, luck, strict=True):
        before, size = group.num_seeds, group.num_seeds + further
        above_M = own.offsets_M + own.means_M * np.sqrt(own.variances_M / further)
        estimates_M += above_M * further / size
        # The squares of old and new runs around their means, and of the two means around the whole.
        squares_M = (before - 1) * group.spread + above_M**2 * before * further / size
        if further > 1:
            degrees = further - 1
            squares_M += own.variances_M * special.chdtri(degrees, own.spreads_M)
        of_seeds_M += np.maximum(squares_M / (size - 1), group.own) / size
        groups.append(replace(group, num_seeds=size))
    return estimates_M, of_seeds_M, replace(found.noise, seeds=tuple(groups))


def _is_decided(
    estimates_M: Floats, noise: Noise, of_seeds_M: Floats, margin: float | None, level: float
) -> npt.NDArray[np.bool_]:
    """Return for each estimate whether its p value is at most the level.

    That is where the bound which is tested lies outside the interval of that level. `of_seeds_M`
    takes the place of the noise's own spread of seeds.
    """
    distances_M = np.abs(estimates_M) - (margin or 0.0)
    is_apart_M: npt.NDArray[np.bool_] = distances_M >= noise.always_valid_reaches(level, of_seeds_M)
    if margin is None:
        return is_apart_M
    return is_apart_M | (-distances_M >= noise.always_valid_reaches(2 * level, of_seeds_M))


def detectable_spreads(num_seeds: int) -> float:
    """Return the true difference that a paired t test over that many seeds finds in POWER of cases.

    It is in standard deviations of the difference between two runs of one seed. The noise of the
    examples, which adds to it, is left out.
    """
    degrees = num_seeds - 1
    least = special.stdtrit(degrees, 1 - LEVEL / 2)

    def excess(shift: float) -> float:
        return 1 - float(special.nctdtr(degrees, shift, least)) - POWER

    return float(brentq(excess, 0.1, 50)) / math.sqrt(num_seeds)
