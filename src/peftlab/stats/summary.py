"""The summary of one arm's scores on one task over its seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.optimize import brentq

from peftlab.core.identity import derived_seed
from peftlab.core.scores import metric_of
from peftlab.stats.noise import LEVEL, Noise, noise_of, noise_of_seeds
from peftlab.stats.outcomes import Outcomes
from peftlab.stats.resample import Resampled, resample
from peftlab.tasks.metrics.registry import METRICS
from peftlab.tasks.problem import Floats
from peftlab.tasks.scores import sign_of

NUM_SHARED = 2
"""The number of pseudo-examples at which all runs fail, beside the observed ones (_shrunk)."""
Covers = Literal["folds", "seeds and examples", "examples", "seeds", "nothing"]
"""The noise that an interval covers: that of folds is that of runs, examples and rows trained
on."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Scores of `num_values` runs, in the unit of the metric.

    `low` and `high` bound the mean with 95% for other seeds and other examples, as far as `covers`
    says; both are the mean where it covers nothing. `sd` (n - 1) is None for one value. `iqm` is
    the mean without the lowest and the highest quarter. `best_of[n - 1]` is the expected best of
    n runs (Dodge et al. 2019, arXiv 1909.03004). `failed_share` is that of the runs that failed,
    or scored no better than the best constant answer (stats/constant.py) does.
    """

    num_values: int
    mean: float
    low: float
    high: float
    sd: float | None
    median: float
    iqm: float
    least: float
    greatest: float
    failed_share: float
    best_of: tuple[float, ...]
    covers: Covers

    @property
    def has_interval(self) -> bool:
        """Whether any noise was seen: without it `low` and `high` are no interval."""
        return self.low < self.high


def summarise(
    outcomes: Outcomes, num_failed: int = 0, *, resampled: Resampled | None = None
) -> Summary:
    """Return the summary of an arm's outcomes; `num_failed` further runs have none.

    `resampled` are the outcomes under resamples, where they have been drawn already.
    """
    if resampled is None:
        (resampled,) = resample([outcomes], np.random.default_rng(derived_seed(0, "summary")))
    constant = sign_of(outcomes.metric) * outcomes.best_constant.score
    poor = int(np.count_nonzero(outcomes.merits_S <= constant))
    covers: Covers = "seeds and examples" if len(outcomes.seeds) > 1 else "examples"
    if outcomes.folds is not None:
        covers = "folds"
    found = _shrunk(noise_of(resampled), outcomes.num_telling)
    return _summary(outcomes.scores_S, outcomes.metric, found, covers, poor, num_failed)


def summarise_scores(metric: str, scores: Sequence[float], num_failed: int = 0) -> Summary:
    """Return the summary of one or more scores without predictions; raise ValueError for none.

    >>> summarise_scores("accuracy", [80.0, 84.0]).mean
    82.0
    """
    if not scores:
        raise ValueError("no scores to sum up")
    scores_S = np.asarray(scores, dtype=np.float64)
    covers: Covers = "seeds" if len(scores_S) > 1 else "nothing"
    return _summary(scores_S, metric, noise_of_seeds(scores_S), covers, 0, num_failed)


def expected_best(scores_S: Floats) -> tuple[float, ...]:
    """Return the expected highest of n runs drawn with replacement from these, for n = 1 to S.

    With the scores in order it is the sum of v_i ((i / S)^n - ((i - 1) / S)^n).
    """
    size = len(scores_S)
    shares = np.arange(size + 1) / size
    ordered_S = np.sort(scores_S)
    return tuple(float(ordered_S @ np.diff(shares**n)) for n in range(1, size + 1))


def _summary(
    scores_S: Floats, metric: str, noise: Noise, covers: Covers, num_poor: int, num_failed: int
) -> Summary:
    mean, size = float(scores_S.mean()), len(scores_S)
    sign = sign_of(metric)
    low, high = _interval(mean, metric, noise)
    return Summary(
        num_values=size,
        mean=mean,
        low=low,
        high=high,
        sd=float(scores_S.std(ddof=1)) if size > 1 else None,
        median=float(np.median(scores_S)),
        iqm=interquartile_mean(scores_S),
        least=float(scores_S.min()),
        greatest=float(scores_S.max()),
        failed_share=(num_poor + num_failed) / (size + num_failed),
        best_of=tuple(sign * best for best in expected_best(sign * scores_S)),
        covers=covers,
    )


def interquartile_mean(scores_S: Floats) -> float:
    """Return the mean without the lowest and the highest quarter (of 4k + i values, k each).

    >>> interquartile_mean(np.array([9.0, 1.0, 2.0, 3.0, 50.0]))
    4.666666666666667
    """
    num_cut = len(scores_S) // 4
    return float(np.sort(scores_S)[num_cut : len(scores_S) - num_cut].mean())


def _shrunk(noise: Noise, num_telling: int) -> Noise:
    """Return the noise, with more of the examples' part where few errors tell.

    Whether the runs fail at the same examples (V_E) or each at its own (V_SE) is seen in the
    examples that a run gets wrong, which may be two or three. Two are added at which all runs fail,
    so that of V_E + V_SE, which is known, their share is V_E. Where all answers are right that is
    all of it, as in the interval of a share of N examples. Folds have all of V_E + V_SE / S in it.
    """
    if noise.folds is not None:
        return noise
    own = noise.seeds[0].own if noise.seeds else 0.0
    share = NUM_SHARED / (NUM_SHARED + num_telling)
    return replace(noise, examples=noise.examples + share * own)


def _interval(mean: float, metric: str, noise: Noise) -> tuple[float, float]:
    """Return the ends of the interval of a mean, which lie within the metric's range.

    Wilson's (1927), with the noise of the seeds beside that of the examples: a true score is in it
    if the mean is no farther from it than the noise there would be at that score is likely to carry
    it. The examples' variance is proportional to u (1 - u), u being the place in the range from 0
    to 1. Where all answers are right, or all wrong, it is that of a share of N examples. Where a
    mean that is no such share lies at an end of the range, as a precision of one answer, and where
    the metric has no greatest value, the noise stands on both sides of the mean.
    """
    own_metric = METRICS.get(metric_of(metric))
    least, most = own_metric.lowest_score, own_metric.highest_score
    is_at_end = mean in (least, most)
    is_exact = own_metric.is_share and noise.num_examples > 0
    if math.isinf(most) or (is_at_end and not is_exact):
        return max(mean - noise.half_width, least), min(mean + noise.half_width, most)
    if is_at_end:
        scale = (most - least) ** 2 / noise.num_examples
    else:
        position = (mean - least) / (most - least)
        scale = noise.examples / (position * (1 - position))

    def beyond(score: float) -> float:
        """Return a number above 0 if noise is unlikely to carry the mean this far from a true
        score."""
        own = (score - least) / (most - least)
        expected = replace(noise, examples=scale * own * (1 - own))
        if score == mean:
            return LEVEL / 2 - 0.5  # where no noise is left at the end of the range as well
        return LEVEL / 2 - (expected.tail(abs(mean - score)) if expected.is_known else 0.0)

    def end(bound: float) -> float:
        return float(brentq(beyond, mean, bound)) if mean != bound and beyond(bound) > 0 else bound

    if scale == 0 and not noise.is_known:
        return mean, mean
    return end(least), end(most)
