"""Runs of an arm that collapsed while others of it learned: how many, and what the others score.

A run collapsed if by itself it did not learn (learned.py): it gives one answer to all examples, or
is shown to be less than a point better than its bar. The mean over all runs is then one
of two kinds of runs, which no interval around it describes: three runs often hold no collapse at
all. So the share of collapses has an interval of its own, and the runs that learned another.
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy import special

from peftlab.stats.learned import Constants, judge
from peftlab.stats.noise import LEVEL
from peftlab.stats.outcomes import Outcomes
from peftlab.stats.resample import Resampled
from peftlab.stats.summary import Summary, summarise


@dataclass(frozen=True, kw_only=True)
class Collapse:
    """`num_collapsed` of `num_runs` runs, at least one and not all of them.

    `low` and `high` bound the share, from 0 to 1, with 95% (Clopper and Pearson 1934). `others`
    sums up the other runs, of which at least one learned. `has_chance` says that a collapsed run
    was held to its chance level.
    """

    num_runs: int
    num_collapsed: int
    low: float
    high: float
    others: Summary
    has_chance: bool = False


def collapse_of(
    outcomes: Outcomes, resampled: Resampled, constants: Constants, drawn: Resampled
) -> Collapse | None:
    """Return the collapse of an arm's runs; None if no run collapsed, or none of them learned.

    `resampled` are the outcomes, and `drawn` those of `constants`, under the same resamples.
    """
    every = {
        seed: judge(outcomes.of_seeds([seed]), resampled.of_seeds([seed]), constants, drawn)
        for seed in outcomes.seeds
    }
    others = [seed for seed, found in every.items() if found.state != "did not learn"]
    collapsed = [found for found in every.values() if found.state == "did not learn"]
    if not collapsed or all(found.state != "learned" for found in every.values()):
        return None
    low, high = share_interval(len(collapsed), len(every))
    return Collapse(
        num_runs=len(every),
        num_collapsed=len(collapsed),
        low=low,
        high=high,
        has_chance=any(found.chance is not None for found in collapsed),
        others=summarise(outcomes.of_seeds(others), resampled=resampled.of_seeds(others)),
    )


def share_interval(num_found: int, num_all: int) -> tuple[float, float]:
    """Return the ends of the exact interval of a share (Clopper and Pearson 1934).

    They are those of scipy.stats.binomtest, whose import takes a second.

    >>> [round(end, 3) for end in share_interval(1, 10)]
    [0.003, 0.445]
    """
    half, num_others = LEVEL / 2, num_all - num_found
    low = special.betaincinv(num_found, num_others + 1, half) if num_found else 0.0
    high = special.betaincinv(num_found + 1, num_others, 1 - half) if num_others else 1.0
    return float(low), float(high)
