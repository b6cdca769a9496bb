"""A comparison of two arms on the same examples, paired by seed where they share seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from peftlab.core.identity import derived_seed
from peftlab.stats.dominance import dominance
from peftlab.stats.noise import LEVEL, NO_NOISE, NUM_ADDED, Noise, noise_between, noise_of
from peftlab.stats.outcomes import Outcomes
from peftlab.stats.permutation import flip_test, mcnemar_test, swap_test
from peftlab.stats.resample import FoldMerits, Resampled, resample
from peftlab.tasks.metrics.metric import BEST_SCORE
from peftlab.tasks.problem import Floats


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A difference in points with its noise, and the tests that both allow.

    It is above 0 where the first one is better, by a loss that is where it scores less. `low` and
    `high` hold it with 95%, where its noise is known. `num_seeds` are the runs of each side (the
    fewer, where they are not paired). With one seed, and no folds, it speaks of the two trained
    models alone. `is_always_valid` says that its intervals and tests hold however often one has
    looked while seeds were added (tails.py); those of single models are of one look. It is never
    more than `reach` either way; `is_share` says that the metric is the share of examples that are
    right, and `num_alike` how many examples count where all of them say the same (0: all).
    """

    estimate: float
    noise: Noise
    num_seeds: int
    is_paired: bool
    is_always_valid: bool = False
    reach: float = math.inf
    is_share: bool = False
    num_alike: int = 0

    @property
    def num_folds(self) -> int:
        """The number of folds that the rows are in; 0 if they are not in folds."""
        return self.noise.folds.num_folds if self.noise.folds else 0

    @property
    def low(self) -> float:
        """The lower end of the interval, in points."""
        return max(self.estimate - self._half_width, -self.reach)

    @property
    def high(self) -> float:
        """The upper end of the interval, in points."""
        return min(self.estimate + self._half_width, self.reach)

    @property
    def has_interval(self) -> bool:
        """Whether the interval excludes anything: with too few runs none can."""
        return math.isfinite(self._half_width) and self._half_width < 2 * self.reach

    @property
    def says_nothing(self) -> bool:
        """Whether the two are equal in everything that was observed: no test can tell them
        apart."""
        return not self.noise.is_known and abs(self.estimate) <= NO_NOISE

    @property
    def p_value(self) -> float:
        """The two-sided p value of the test that there is no difference."""
        return min(1.0, 2 * self._tail(abs(self.estimate)))

    def equivalence_p(self, margin: float) -> float:
        """Return the p value of two one-sided tests of a difference of at least the margin.

        Schuirmann 1987: the larger of the two counts.
        """
        return self._tail(margin - abs(self.estimate))

    def excess_p(self, margin: float) -> float:
        """Return the two-sided p value of the test of a difference of at most the margin."""
        return min(1.0, 2 * self._tail(abs(self.estimate) - margin))

    def p_above(self, threshold: float) -> float:
        """Return the one-sided p value of the difference being at most the threshold."""
        return self._tail(self.estimate - threshold)

    def p_below(self, threshold: float) -> float:
        """Return the one-sided p value of the difference being at least the threshold."""
        return self._tail(threshold - self.estimate)

    @property
    def _half_width(self) -> float:
        if self.is_always_valid and self.noise.is_known and self.noise.seeds:
            return self.noise.always_valid_reach(LEVEL)
        return self.noise.half_width

    def _tail(self, distance: float) -> float:
        """Return the probability of an estimate this far on one side of a bound."""
        if not self.noise.is_known:
            return self._tail_by_number(distance)
        if self.is_always_valid and self.noise.seeds:
            return self.noise.always_valid_tail(distance)
        return self.noise.tail(distance)

    def _tail_by_number(self, distance: float) -> float:
        """Return the exact probability, by the number of examples, if all of them say the same.

        Where the two never differ, N examples miss a share q that differs with (1 - q)^N, of which
        the rule of three is the bound at 5%. Where they differ throughout, all N have the sign that
        was seen with at most ((1 + t) / 2)^N, t being the bound that is tested, from -1 to 1. In a
        mean over k tasks N is k times what the smallest has: by the mean of the logarithms no
        shares that have the mean q are missed more often.
        """
        if distance <= 0:
            return 1.0 if distance < 0 or self.says_nothing else 0.5
        if self.says_nothing and not self.is_share:
            return 1.0
        missed = 1 - distance / (BEST_SCORE if self.says_nothing else 2 * BEST_SCORE)
        return max(missed, 0.0 if self.says_nothing else 0.5) ** (
            self.num_alike or self.noise.num_examples
        )


@dataclass(frozen=True, kw_only=True)
class Comparison(Difference):
    """A difference on one task, with the results of further tests.

    `effect_size` is Hedges' g over the runs and `superiority` how often a run of the first beats
    one of the second (ties half); both None for one run. `swap_p` is of the trained models alone,
    `flip_p` of the seeds alone (None for fewer than six), `mcnemar_p` for accuracy and one seed.
    `dominance` below 0.5: the first almost stochastically dominates (None for fewer than five).
    """

    effect_size: float | None
    superiority: float | None
    swap_p: float
    flip_p: float | None
    mcnemar_p: float | None
    dominance: float | None


def compare(
    left: Outcomes,
    right: Outcomes,
    *,
    resampled: tuple[Resampled, Resampled] | None = None,
    seed: int = 0,
) -> Comparison:
    """Return by how many points left is better than right; raise ValueError if examples differ.

    `resampled` are both under the same resamples, where they have been drawn already; `seed` is
    that of the draws.
    """
    generator = np.random.default_rng(derived_seed(seed, "comparison"))
    if resampled is None:
        first, second = resample([left, right], generator)
        resampled = first, second
    found = difference(*resampled)
    if found.is_paired:
        common = [own for own in left.seeds if own in right.seeds]
        left, right = left.of_seeds(common), right.of_seeds(common)
    return Comparison(
        estimate=found.estimate,
        noise=found.noise,
        num_seeds=found.num_seeds,
        is_paired=found.is_paired,
        reach=found.reach,
        is_share=found.is_share,
        num_alike=found.num_alike,
        effect_size=hedges_g(left.merits_S, right.merits_S),
        superiority=superiority(left.merits_S, right.merits_S),
        swap_p=swap_test(left, right, generator),
        flip_p=flip_test(left.merits_S - right.merits_S, generator) if found.is_paired else None,
        mcnemar_p=mcnemar_test(left, right),
        dominance=dominance(left.merits_S, right.merits_S, generator),
    )


def difference(left: Resampled, right: Resampled) -> Difference:
    """Return left - right with its noise: paired by common seeds, else of all runs of each.

    One seed in common pairs nothing where both have others: it would leave those out.
    """
    common = [own for own in left.seeds if own in right.seeds]
    if len(common) == 1 and min(len(left.seeds), len(right.seeds)) > 1:
        common = []
    if common:
        left, right = left.of_seeds(common), right.of_seeds(common)
        paired = replace(
            left,
            merits_S=left.merits_S - right.merits_S,
            replicates_RS=left.replicates_RS - right.replicates_RS,
            folds=_between(left.folds, right.folds),
        )
        noise = noise_of(paired, NUM_ADDED * left.grain)
    else:
        noise = noise_between(left, right)
    return Difference(
        estimate=float(left.merits_S.mean() - right.merits_S.mean()),
        noise=noise,
        num_seeds=min(len(left.seeds), len(right.seeds)),
        is_paired=bool(common),
        reach=left.reach,
        is_share=left.is_share,
        num_alike=left.num_alike,
    )


def _between(left: FoldMerits | None, right: FoldMerits | None) -> FoldMerits | None:
    """Return left minus right on each fold; None unless both have folds."""
    if left is None or right is None:
        return None
    return replace(left, merits_SK=left.merits_SK - right.merits_SK)


def hedges_g(lefts: Floats, rights: Floats) -> float | None:
    """Return the difference in pooled standard deviations, without small-sample bias (Hedges 1981).

    None where a side has one run, or no run differs from another.
    """
    sizes = len(lefts), len(rights)
    if min(sizes) < 2:
        return None
    degrees = sum(sizes) - 2
    pooled = sum(float(np.var(own, ddof=1)) * (len(own) - 1) for own in (lefts, rights)) / degrees
    if pooled == 0:
        return None
    bias = 1 - 3 / (4 * degrees - 1)
    return bias * float(lefts.mean() - rights.mean()) / math.sqrt(pooled)


def superiority(lefts: Floats, rights: Floats) -> float | None:
    """Return the share of pairs of runs in which the left is better, ties half; or None."""
    if min(len(lefts), len(rights)) < 2:
        return None
    signs = np.sign(lefts[:, None] - rights[None, :])
    return float((1 + signs.mean()) / 2)
