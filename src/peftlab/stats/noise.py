"""The two kinds of noise in a mean over seeds, taken apart and put together again.

A score of seed s on examples i is, to first order, mu + S_s + E_i + (SE)_si: a run has its luck,
an example its difficulty, and a run its own luck with an example. The mean over S seeds has the
variance

    Var = V_E + (V_S + V_SE) / S .

The bootstrap of the examples, with the models as they are, sees V_E + V_SE / S in the mean and
V_SE in what a seed departs from the mean; the spread of the scores over the seeds estimates
V_S + V_SE, and where it falls below V_SE, which V_S cannot, V_SE is taken. The sum has
Satterthwaite's degrees of freedom (1946): S - 1 for the part that the observed spread has in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from peftlab.stats.resample import Resampled
from peftlab.stats.weighted import Floats

LEVEL = 0.05
"""Intervals hold 1 - LEVEL, and a test that says different errs in LEVEL."""

NO_NOISE = 1e-9
"""Points: a standard error below it is one of rounding."""


@dataclass(frozen=True, kw_only=True)
class SeedNoise:
    """How the scores of `num_seeds` runs spread: their variance as observed, in points squared.

    `own` is V_SE, what of it is a run's own luck with the examples and known from them.
    """

    spread: float
    num_seeds: int
    own: float = 0.0

    @property
    def variance(self) -> float:
        """That of one run's score."""
        return max(self.spread, self.own)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """The variance of an estimate in points squared: that of its examples, and of its seeds.

    `examples` is what no number of seeds takes away. `seeds` are the groups of runs whose means
    are in the estimate; none where it speaks of single trained models.
    """

    examples: float
    num_examples: int
    seeds: tuple[SeedNoise, ...] = ()

    @property
    def error(self) -> float:
        """The standard error, in points."""
        return math.sqrt(self._variance)

    @property
    def is_known(self) -> bool:
        """Whether anything varies: where all runs and examples say the same, no noise is seen."""
        return self.error > NO_NOISE

    @property
    def degrees(self) -> float:
        """Satterthwaite's degrees of freedom of the variance, at most those of the examples."""
        most = self.num_examples - 1 if self.num_examples > 1 else math.inf
        parts = [
            (group.spread / group.num_seeds) ** 2 / (group.num_seeds - 1) for group in self.seeds
        ]
        return min(self._variance**2 / sum(parts), most) if sum(parts) > 0 else most

    @property
    def half_width(self) -> float:
        """Half of the interval of 1 - LEVEL, in points."""
        return quantile(1 - LEVEL / 2, self.degrees) * self.error

    @property
    def _variance(self) -> float:
        return self.examples + sum(group.variance / group.num_seeds for group in self.seeds)


def noise_of(one: Resampled) -> Noise:
    """That of the mean over the seeds; with one seed, of its examples alone."""
    num_seeds = len(one.seeds)
    of_mean = _variance(one.replicates_RS.mean(axis=1))
    if num_seeds == 1:
        return Noise(examples=of_mean, num_examples=one.num_examples)
    own = interaction(one)
    group = SeedNoise(spread=_variance(one.scores_S), own=own, num_seeds=num_seeds)
    examples = max(of_mean - own / num_seeds, 0.0)
    return Noise(examples=examples, num_examples=one.num_examples, seeds=(group,))


def noise_between(left: Resampled, right: Resampled) -> Noise:
    """That of the difference of two means whose seeds have nothing to do with each other."""
    of_mean = _variance(left.replicates_RS.mean(axis=1) - right.replicates_RS.mean(axis=1))
    groups: list[SeedNoise] = []
    for one in (left, right):
        if len(one.seeds) > 1:
            own = interaction(one)
            of_mean -= own / len(one.seeds)
            spread = _variance(one.scores_S)
            groups.append(SeedNoise(spread=spread, own=own, num_seeds=len(one.seeds)))
    return Noise(examples=max(of_mean, 0.0), num_examples=left.num_examples, seeds=tuple(groups))


def noise_of_seeds(scores_S: Floats) -> Noise:
    """That of the mean of scores whose examples are not known: of the seeds alone."""
    groups: tuple[SeedNoise, ...] = ()
    if len(scores_S) > 1:
        groups = (SeedNoise(spread=_variance(scores_S), num_seeds=len(scores_S)),)
    return Noise(examples=0.0, num_examples=0, seeds=groups)


def interaction(one: Resampled) -> float:
    """V_SE: the variance over resamples of what a seed departs from the mean of S > 1 seeds."""
    apart_RS = one.replicates_RS - one.replicates_RS.mean(axis=1, keepdims=True)
    num_seeds = len(one.seeds)
    return float(apart_RS.var(axis=0, ddof=1).mean()) * num_seeds / (num_seeds - 1)


def quantile(share: float, degrees: float) -> float:
    """That of Student's t; of the normal distribution for infinite degrees."""
    return float(stats.t.ppf(share, degrees) if math.isfinite(degrees) else stats.norm.ppf(share))


def upper_tail(statistic: float, degrees: float) -> float:
    """The probability that Student's t is at least this."""
    if math.isfinite(degrees):
        return float(stats.t.sf(statistic, degrees))
    return float(stats.norm.sf(statistic))


def _variance(values: Floats) -> float:
    return float(np.var(values, ddof=1))
