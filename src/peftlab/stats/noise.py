"""The two kinds of noise in a mean over seeds: their separation and their combination.

A score of seed s on examples i is, to first order, mu + S_s + E_i + (SE)_si: a run has its luck,
an example its difficulty, and a run its own luck with an example. The mean over S seeds has the
variance

    Var = V_E + (V_S + V_SE) / S .

The bootstrap of the examples, with the models as they are, sees V_E + V_SE / S in the mean and
V_SE in what a seed departs from the mean; the spread of the scores over the seeds estimates
V_S + V_SE, and where it falls below V_SE, which V_S cannot, V_SE is taken. What follows for a test
and an interval is in tails.py.

In k-fold cross-validation a run has K models, each trained on other rows and scored on the rest.
Their scores m_j (of the mean over the seeds) spread by the examples, by the rows that were trained
on and by the luck of their runs, which is drawn anew for each fold. They share most of the rows
that they train on, so that the variance of their mean is more than s^2 / K. Nadeau and Bengio
(2003, Machine Learning 52) take

    Var = (1 / K + n_test / n_train) s^2 ,

s^2 being the sample variance of the m_j. Where that is small by chance, the variance that the
bootstrap of the examples sees in the pooled score is taken, below which it cannot be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from peftlab.stats.resample import FoldMerits, Resampled
from peftlab.stats.tails import always_valid_reach, always_valid_tail, fixed_tail
from peftlab.tasks.problem import Floats

LEVEL = 0.05
"""The level of tests; intervals cover 1 - LEVEL."""

NUM_ADDED = 2
"""Two arms are told apart by this many examples more than they are, as many each way: without them
six of 100 examples that are all for one arm give p = 0.01, where the exact test gives 0.03."""

NO_NOISE = 1e-9
"""Points: a standard error below it is one of rounding."""


@dataclass(frozen=True, kw_only=True)
class SeedNoise:
    """The spread of the scores of `num_seeds` runs: their variance as observed, in points squared.

    `own` is V_SE, what of it is a run's own luck with the examples and known from them.
    """

    spread: float
    num_seeds: int
    own: float = 0.0

    @property
    def variance(self) -> float:
        """The variance of one run's score."""
        return max(self.spread, self.own)


@dataclass(frozen=True, kw_only=True)
class FoldNoise:
    """The spread of the scores of `num_folds` folds: their variance as observed, in points squared.

    `test_share` is n_test / n_train.
    """

    spread: float
    num_folds: int
    test_share: float

    @property
    def factor(self) -> float:
        """The factor from the variance of one fold's score to that of the mean."""
        return 1 / self.num_folds + self.test_share

    def variance(self, examples: float) -> float:
        """Return the variance of the mean, which is at least that of the examples alone."""
        return max(self.factor * self.spread, examples)

    def group(self, examples: float) -> tuple[float, float, int]:
        """Return (s^2, the least it may be, K) as of K runs whose mean has that variance."""
        corrected = self.factor * self.num_folds * self.spread
        return corrected, self.num_folds * examples, self.num_folds


@dataclass(frozen=True, kw_only=True)
class Noise:
    """The variance of an estimate in points squared: that of its examples, and of its seeds.

    `examples` is what no number of seeds takes away. `grain` is added to it in tests and
    intervals: the bootstrap of few examples that tell two arms apart sees too little. `seeds` are
    the groups of runs whose means are in the estimate; none where it speaks of single trained
    models. With `folds` all that varies is in their spread, that of the seeds too: `examples` is
    then the whole of what the bootstrap sees, and `seeds` serve looks at growing numbers of them.
    """

    examples: float
    num_examples: int
    seeds: tuple[SeedNoise, ...] = ()
    grain: float = 0.0
    folds: FoldNoise | None = None

    @property
    def error(self) -> float:
        """The standard error, in points, without the grain."""
        if self.folds is not None:
            return math.sqrt(self.folds.variance(self.examples))
        return math.sqrt(self.examples + self.of_seeds)

    @property
    def of_seeds(self) -> float:
        """The variance that the seeds add to the estimate."""
        return sum(group.variance / group.num_seeds for group in self.seeds)

    @property
    def is_known(self) -> bool:
        """Whether anything varies: where all runs and examples say the same, no noise is seen."""
        return self.error > NO_NOISE

    @property
    def num_pairs(self) -> float:
        """The number of pairs of runs that the estimate is worth: of two groups the half of their
        number."""
        return 1 / sum(1 / group.num_seeds for group in self.seeds)

    @property
    def degrees(self) -> int:
        """The degrees of freedom of the seeds' spread, of the smaller group where there are two."""
        return min(group.num_seeds for group in self.seeds) - 1

    def tail(self, distance: float) -> float:
        """Return the probability that noise carries an estimate this many points above a bound."""
        examples = self.examples + self.grain
        if self.folds is not None:
            return fixed_tail(distance, 0.0, self.num_examples, [self.folds.group(examples)])
        groups = [(group.spread, group.own, group.num_seeds) for group in self.seeds]
        return fixed_tail(distance, examples, self.num_examples, groups)

    def always_valid_tail(self, distance: float) -> float:
        """Return the tail probability that stays valid for any number of looks at more seeds."""
        of_seeds_1 = np.array([self.of_seeds])
        return float(always_valid_tail(np.array([distance]), *self._for_looks(of_seeds_1))[0])

    @property
    def half_width(self) -> float:
        """Half of the interval of 1 - LEVEL, in points; 0 where no noise is seen."""
        if not self.is_known:
            return 0.0
        scale = math.sqrt(self.error**2 + self.grain)
        most = scale
        while self.tail(most) > LEVEL / 2:
            most *= 2
        return float(brentq(lambda half: self.tail(half) - LEVEL / 2, 0.0, most, xtol=1e-6 * scale))

    def always_valid_reach(self, level: float) -> float:
        """Return the half width of the interval of 1 - `level`, valid for any number of looks."""
        return float(self.always_valid_reaches(level, np.array([self.of_seeds]))[0])

    def always_valid_reaches(self, level: float, of_seeds_M: Floats) -> Floats:
        """Return the same [M] for each of M variances that the seeds may add to the estimate."""
        return always_valid_reach(np.array([level]), *self._for_looks(of_seeds_M))

    def _for_looks(self, of_seeds_M: Floats) -> tuple[float, int, Floats, float, int]:
        """Return the arguments of tails.py beside a distance or a level.

        The folds stay the same at all looks, as examples do, and are as few as they are.
        """
        examples, num_examples = self.examples + self.grain, self.num_examples
        if self.folds is not None:
            examples, num_examples = self.folds.variance(examples), self.folds.num_folds
        return examples, num_examples, of_seeds_M, self.num_pairs, self.degrees


def noise_of(one: Resampled, grain: float = 0.0) -> Noise:
    """Return the noise of the mean over the seeds; with one seed, that of the examples alone."""
    num_seeds = len(one.seeds)
    of_mean = _variance(one.replicates_RS.mean(axis=1))
    folds = None if one.folds is None else _fold_noise(one.folds.merits_SK.mean(axis=0), one.folds)
    num_examples = one.num_examples
    if num_seeds == 1:
        return Noise(examples=of_mean, num_examples=num_examples, grain=grain, folds=folds)
    own = interaction(one)
    group = SeedNoise(spread=_variance(one.merits_S), own=own, num_seeds=num_seeds)
    if folds is None:
        of_mean = max(of_mean - own / num_seeds, 0.0)
    return Noise(
        examples=of_mean, num_examples=num_examples, seeds=(group,), grain=grain, folds=folds
    )


def noise_between(left: Resampled, right: Resampled) -> Noise:
    """Return the noise of the difference of two means that share no seeds."""
    of_mean = _variance(left.replicates_RS.mean(axis=1) - right.replicates_RS.mean(axis=1))
    grain = NUM_ADDED * left.grain
    folds = None
    if left.folds is not None and right.folds is not None:  # the same folds, whatever the seeds
        apart_K = left.folds.merits_SK.mean(axis=0) - right.folds.merits_SK.mean(axis=0)
        folds = _fold_noise(apart_K, left.folds)
    groups: list[SeedNoise] = []
    for one in (left, right):
        if len(one.seeds) > 1:
            own = interaction(one)
            of_mean -= 0.0 if folds else own / len(one.seeds)
            spread = _variance(one.merits_S)
            groups.append(SeedNoise(spread=spread, own=own, num_seeds=len(one.seeds)))
    return Noise(
        examples=max(of_mean, 0.0),
        num_examples=left.num_examples,
        seeds=tuple(groups),
        grain=grain,
        folds=folds,
    )


def noise_of_seeds(scores_S: Floats) -> Noise:
    """Return the noise of the mean of scores whose examples are not known: of the seeds alone."""
    groups: tuple[SeedNoise, ...] = ()
    if len(scores_S) > 1:
        groups = (SeedNoise(spread=_variance(scores_S), num_seeds=len(scores_S)),)
    return Noise(examples=0.0, num_examples=0, seeds=groups)


def interaction(one: Resampled) -> float:
    """V_SE: the variance over resamples of what a seed departs from the mean of S > 1 seeds."""
    apart_RS = one.replicates_RS - one.replicates_RS.mean(axis=1, keepdims=True)
    num_seeds = len(one.seeds)
    return float(apart_RS.var(axis=0, ddof=1).mean()) * num_seeds / (num_seeds - 1)


def _fold_noise(merits_K: Floats, folds: FoldMerits) -> FoldNoise:
    return FoldNoise(
        spread=_variance(merits_K), num_folds=len(merits_K), test_share=folds.test_share
    )


def _variance(values: Floats) -> float:
    return float(np.var(values, ddof=1))
