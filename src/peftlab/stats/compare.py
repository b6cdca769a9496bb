"""Two arms against each other on the same examples, and by the same seeds where they share them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from peftlab.core.identity import derived_seed
from peftlab.stats.dominance import dominance
from peftlab.stats.noise import NO_NOISE, Noise, noise_between, noise_of, upper_tail
from peftlab.stats.outcomes import Outcomes
from peftlab.stats.permutation import flip_test, mcnemar_test, swap_test
from peftlab.stats.resample import Resampled, resample
from peftlab.stats.weighted import Floats


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A difference in points with its noise, and the tests that follow from both.

    `low` and `high` hold it with 95%, where its noise is known. `num_seeds` are the runs of each
    side (the fewer, where they are not paired). With one seed it speaks of the two trained models
    alone.
    """

    estimate: float
    noise: Noise
    num_seeds: int
    is_paired: bool

    @property
    def low(self) -> float:
        """The lower end of the interval, in points."""
        return self.estimate - self.noise.half_width

    @property
    def high(self) -> float:
        """The upper end of the interval, in points."""
        return self.estimate + self.noise.half_width

    @property
    def says_nothing(self) -> bool:
        """Whether the two are the same in all that was seen, so that no test can weigh it."""
        return not self.noise.is_known and abs(self.estimate) <= NO_NOISE

    @property
    def p_value(self) -> float:
        """Return the p value of there being no difference, two-sided, with both kinds of noise."""
        return min(1.0, 2 * self._tail(abs(self.estimate)))

    def equivalence_p(self, margin: float) -> float:
        """Of the difference being at least the margin: two one-sided tests (Schuirmann 1987)."""
        return self._tail(margin - abs(self.estimate))

    def excess_p(self, margin: float) -> float:
        """Of the difference being at most the margin, two-sided."""
        return min(1.0, 2 * self._tail(abs(self.estimate) - margin))

    def p_above(self, threshold: float) -> float:
        """Return the one-sided p value of the difference being at most the threshold."""
        return self._tail(self.estimate - threshold)

    def p_below(self, threshold: float) -> float:
        """Return the one-sided p value of the difference being at least the threshold."""
        return self._tail(threshold - self.estimate)

    def _tail(self, distance: float) -> float:
        """Return the probability of an estimate that is so far on the one side of a bound.

        Without noise every example says the same, so that only their signs can be counted: of N
        examples all have the sign that was seen with probability 1 / 2^N.
        """
        if not self.noise.is_known:
            by_signs = 0.5**self.noise.num_examples
            return by_signs if distance > 0 else 0.5 if distance == 0 else 1.0
        return upper_tail(distance / self.noise.error, self.noise.degrees)


@dataclass(frozen=True, kw_only=True)
class Comparison(Difference):
    """A difference on one task, with what other tests say of it.

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
    """left - right, in points, on the same examples; ValueError where they are not the same.

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
        effect_size=hedges_g(left.scores_S, right.scores_S),
        superiority=superiority(left.scores_S, right.scores_S),
        swap_p=swap_test(left, right, generator),
        flip_p=flip_test(left.scores_S - right.scores_S, generator) if found.is_paired else None,
        mcnemar_p=mcnemar_test(left, right),
        dominance=dominance(left.scores_S, right.scores_S, generator),
    )


def difference(left: Resampled, right: Resampled) -> Difference:
    """left - right with its noise: paired by the seeds that both have, else of all runs of each."""
    common = [own for own in left.seeds if own in right.seeds]
    if common:
        left, right = left.of_seeds(common), right.of_seeds(common)
        paired = Resampled(
            scores_S=left.scores_S - right.scores_S,
            replicates_RS=left.replicates_RS - right.replicates_RS,
            seeds=tuple(common),
            num_examples=left.num_examples,
        )
        noise = noise_of(paired)
    else:
        noise = noise_between(left, right)
    return Difference(
        estimate=float(left.scores_S.mean() - right.scores_S.mean()),
        noise=noise,
        num_seeds=min(len(left.seeds), len(right.seeds)),
        is_paired=bool(common),
    )


def hedges_g(lefts: Floats, rights: Floats) -> float | None:
    """The difference of the means in pooled deviations, less its small-sample bias (Hedges 1981).

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
    """The share of all pairs of runs in which the left one is better, ties half; None for one."""
    if min(len(lefts), len(rights)) < 2:
        return None
    signs = np.sign(lefts[:, None] - rights[None, :])
    return float((1 + signs.mean()) / 2)
