"""Do verdicts of `--until-decided` hold, and what do they take? Studies whose truth is known.

    OMP_NUM_THREADS=1 python -m benchmarks.simulated_decide --studies 200

A study has claims on pairs of arms, five seeds each, and adds a seed to the pairs of the claims
that are not decided, up to 20. The kinds of noise are those of simulated_families. Three rules
decide, each with Holm's correction over the claims:

- `mixture`: the test for any number of looks, which is the one that the reports use;
- `constant`: the test for one look, at each look at the same level, found by simulation of normal
  scores so that looks at 5 to 20 seeds err in 5% together (about .009);
- `O'Brien-Fleming`: the test for one look, at levels that begin small and rise with the seeds.

It prints in how many of 100 studies any claim was wrong at any look though all arms are equal; and
for one claim whose arms differ by 2, 1 and 0.5 spreads of a pair of runs the seeds after which half
are decided, how many are by 20 seeds, and the mean number of seeds spent.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy import stats

from benchmarks.simulated_families import KINDS, SIZES, Family, differences
from peftlab.core.identity import derived_seed
from peftlab.stats.compare import Difference
from peftlab.stats.families import holm
from peftlab.stats.noise import LEVEL

FIRST, MOST = 5, 20
LOOKS = range(FIRST, MOST + 1)
NUM_CLAIMS = (1, 5, 20)
NUM_WALKS = 200_000


@lru_cache(maxsize=1)
def walks() -> np.ndarray:
    """Return normal scores [W, looks] of means over growing numbers of seeds."""
    steps = np.random.default_rng(0).normal(size=(NUM_WALKS, MOST))
    return (np.cumsum(steps, axis=1) / np.sqrt(np.arange(1, MOST + 1)))[:, FIRST - 1 :]


@lru_cache(maxsize=64)
def constant_level(level: float) -> float:
    """Return the level of each look at which all looks together err as often as that."""
    largest = np.abs(walks()).max(axis=1)
    return float(2 * stats.norm.sf(np.quantile(largest, 1 - level)))


@lru_cache(maxsize=64)
def rising_levels(level: float) -> tuple[float, ...]:
    """Return the levels of O'Brien and Fleming's rule: bounds fall with the root of the seeds."""
    scale = np.sqrt(np.arange(FIRST, MOST + 1) / MOST)
    largest = (np.abs(walks()) * scale).max(axis=1)
    return tuple(2 * stats.norm.sf(np.quantile(largest, 1 - level) / scale))


def of_mixture(found: Difference, num_seeds: int) -> float:
    """Return the p value of the test for any number of looks."""
    return replace(found, is_always_valid=True).p_value


def of_constant(found: Difference, num_seeds: int) -> float:
    """Return the level at which the constant rule would just decide at this look."""
    return _least_level(found.p_value, constant_level)


def of_rising(found: Difference, num_seeds: int) -> float:
    """Return the level at which O'Brien and Fleming's rule would just decide at this look."""
    return _least_level(found.p_value, lambda level: rising_levels(level)[num_seeds - FIRST])


def _least_level(p_value: float, level_of: Callable[[float], float]) -> float:
    """Return the least of Holm's levels at which a p value decides; 1 where none does."""
    levels = [LEVEL / num for num in range(max(NUM_CLAIMS), 0, -1)]
    return next((level for level in levels if p_value <= level_of(level)), 1.0)


RULES = {"mixture": of_mixture, "constant": of_constant, "O'Brien-Fleming": of_rising}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Whether any claim was ever decided, and the seeds of the first claim at its decision."""

    is_any: bool
    decided_at: int | None
    spent: int


def rounds(
    claims: Sequence[dict[int, Difference]], rule: Callable[[Difference, int], float]
) -> Outcome:
    """Return what becomes of the claims if those that are open get a seed more each round."""
    seeds = [FIRST] * len(claims)
    known = [{num: rule(own[num], num) for num in (FIRST,)} for own in claims]
    is_any, first_at = False, None
    while True:
        p_values = [own[num] for own, num in zip(known, seeds, strict=True)]
        decided = [one <= LEVEL for one in holm(p_values)]
        is_any |= any(decided)
        if decided[0] and first_at is None:
            first_at = seeds[0]
        grow = [place for place, one in enumerate(decided) if not one and seeds[place] < MOST]
        if not grow:
            return Outcome(is_any=is_any, decided_at=first_at, spent=seeds[0])
        for place in grow:
            seeds[place] += 1
            num = seeds[place]
            known[place][num] = rule(claims[place][num], num)


def main() -> None:
    """Print a line for each kind of noise and number of claims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--kind", choices=list(KINDS), action="append", help="only these")
    given = parser.parse_args()
    print("| noise | claims |", " | ".join(f"{name}: wrong" for name in RULES), "|", flush=True)
    for kind in given.kind or KINDS:
        for num_claims in NUM_CLAIMS:
            studies = _studies(Family(setting=KINDS[kind], num_claims=num_claims), given.studies)
            cells = [
                f"{100 * np.mean([one.is_any for one in studies[name]]):.1f}" for name in RULES
            ]
            print(f"| {kind} | {num_claims} |", " | ".join(cells), "|", flush=True)
    print("| noise | spreads | rule | half by | decided by 20 | seeds spent |", flush=True)
    for kind in given.kind or KINDS:
        for size in SIZES:
            family = Family(setting=KINDS[kind], num_claims=1, size=size)
            for name, found in _studies(family, given.studies).items():
                at = [one.decided_at or MOST + 1 for one in found]
                half = f"{np.median(at):.0f}" if np.median(at) <= MOST else f"> {MOST}"
                share = 100 * np.mean([num <= MOST for num in at])
                spent = np.mean([one.spent for one in found])
                print(f"| {kind} | {size:g} | {name} | {half} | {share:.1f} | {spent:.1f} |",
                      flush=True)  # fmt: skip


def _studies(family: Family, num_studies: int) -> dict[str, list[Outcome]]:
    place = (str(family.setting), str(family.num_claims), f"{family.size:g}")
    generator = np.random.default_rng(derived_seed(0, "decide", *place))
    found: dict[str, list[Outcome]] = {name: [] for name in RULES}
    for _ in range(num_studies):
        claims = differences(family, generator, LOOKS)
        for name, rule in RULES.items():
            found[name].append(rounds(claims, rule))
    return found


if __name__ == "__main__":
    main()
