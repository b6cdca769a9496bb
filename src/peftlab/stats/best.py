"""The arms that are shown to be near the best of several, whichever is the best.

An arm is shown to be no more than a margin below the best if it is shown to be no more than that
below every other one, whichever is the best in truth: of its tests against the others the largest p
value counts. The arms of which that is asked are one family. One of them is the best, so that of k
hypotheses "this arm is more than the margin below the best" at most k - 1 are true, and Holm's
method (1979) starts from there. These are multiple comparisons with the best (Hsu 1984), without
the equal variances that the usual critical values take for granted.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from peftlab.stats.families import holm
from peftlab.stats.tails import upper_tail
from peftlab.tasks.problem import Floats


def near_best_p(p_values_AA: Floats) -> list[float]:
    """Return each arm's adjusted p value of being farther than the margin below the best.

    `p_values_AA[i, j]` is that of arm i being more than the margin below arm j; the diagonal is not
    looked at. A single arm is the best one.
    """
    size = len(p_values_AA)
    largest = [
        max((float(p_values_AA[own, other]) for other in range(size) if other != own), default=0.0)
        for own in range(size)
    ]
    return holm(largest, num_false=1)


def sum_is_larger(
    lefts: Sequence[Sequence[float]], rights: Sequence[Sequence[float]], level: float
) -> bool:
    """Return whether the sum of the left groups' means is shown to be larger.

    By Welch's t test (1947), one-sided. Where no group varies, any difference is one.

    >>> sum_is_larger([[3.0, 5.0], [7.0]], [[9.0]], 0.05), sum_is_larger([[2.0]], [[1.0]], 0.05)
    (False, True)
    """
    excess = sum(fmean(own) for own in lefts) - sum(fmean(own) for own in rights)
    if excess <= 0:
        return False
    parts = [
        (float(np.var(own, ddof=1)) / len(own), len(own) - 1)
        for own in (*lefts, *rights)
        if len(own) > 1
    ]
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return True
    degrees = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    return float(upper_tail(np.array([excess / variance**0.5]), degrees)[0]) <= level
