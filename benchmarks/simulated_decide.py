"""Do verdicts of `--until-decided` hold, and what do they take? Studies whose truth is known.

    OMP_NUM_THREADS=1 python -m benchmarks.simulated_decide --studies 200

A study has claims on pairs of arms, five seeds each, and adds a seed to the pairs of the claims
that are not decided, up to 20. The kinds of noise are those of simulated_families. Three rules
decide, each with Holm's correction over the claims:

- `mixture`: the test for any number of looks, which is the one that the reports use;
- `constant`: the test for one look, at each look at the same level, found by simulation of normal
  scores so that looks at 5 to 20 seeds err in 5% together;
- `O'Brien-Fleming`: the test for one look, at levels that begin small and rise with the seeds.

It prints in how many of 100 studies any claim was wrong at any look though all arms are equal; and
for one claim whose arms differ by 2, 1 and 0.5 spreads of a pair of runs the seeds after which half
are decided, how many are by 20 seeds, and the mean number of seeds spent. With `--normal 20000` it
prints the latter for one claim on normal scores without the noise of examples, equal arms (0
spreads) among them, for which the share that is decided is the error.
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
from peftlab.stats.tails import always_valid_tail

FIRST, MOST = 5, 20
LOOKS = range(FIRST, MOST + 1)
NUM_CLAIMS = (1, 5, 20)
NUM_WALKS = 200_000


@lru_cache(maxsize=1)
def walks() -> np.ndarray:
    """Return p values [W, looks] of Student's test for growing numbers of normal scores."""
    scores_WS = np.random.default_rng(0).normal(size=(NUM_WALKS, MOST))
    return np.stack([student_p(scores_WS[:, :num]) for num in LOOKS], axis=1)


def student_p(scores_MS: np.ndarray) -> np.ndarray:
    """Return the two-sided p values [M] of Student's test that the mean of S scores is 0."""
    num = scores_MS.shape[1]
    errors_M = scores_MS.std(axis=1, ddof=1) / np.sqrt(num)
    return np.asarray(2 * stats.t.sf(np.abs(scores_MS.mean(axis=1)) / errors_M, num - 1))


@lru_cache(maxsize=64)
def constant_level(level: float) -> float:
    """Return the level of each look at which all looks together err as often as that."""
    return float(np.quantile(walks().min(axis=1), level))


@lru_cache(maxsize=64)
def rising_levels(level: float) -> tuple[float, ...]:
    """Return the levels of O'Brien and Fleming's rule: bounds fall with the root of the seeds."""
    scale = np.sqrt(np.array(LOOKS) / MOST)
    largest = (stats.norm.isf(walks() / 2) * scale).max(axis=1)
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
    parser.add_argument("--normal", type=int, default=0, help="only so many normal studies")
    parser.add_argument("--kind", choices=list(KINDS), action="append", help="only these")
    given = parser.parse_args()
    if given.normal:
        _print_normal(given.normal)
        return
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


def normal_studies(size: float, num_studies: int) -> dict[str, np.ndarray]:
    """Return the seeds at which each rule decides a claim on normal scores; MOST + 1 for never.

    The examples add no noise, and the arms differ by `size` spreads of a pair of runs.
    """
    generator = np.random.default_rng(derived_seed(0, "normal", f"{size:g}"))
    scores_MS = generator.normal(size, 1.0, (num_studies, MOST))
    level, levels = constant_level(LEVEL), rising_levels(LEVEL)
    at = {name: np.full(num_studies, MOST + 1) for name in RULES}
    for place, num in reversed([*enumerate(LOOKS)]):
        means_M = np.abs(scores_MS[:, :num].mean(axis=1))
        of_seeds_M = scores_MS[:, :num].var(axis=1, ddof=1) / num
        fixed_M = student_p(scores_MS[:, :num])
        mixture_M = 2 * always_valid_tail(means_M, 0.0, 2, of_seeds_M, float(num), num - 1)
        at["mixture"][mixture_M <= LEVEL] = num
        at["constant"][fixed_M <= level] = num
        at["O'Brien-Fleming"][fixed_M <= levels[place]] = num
    return at


def _print_normal(num_studies: int) -> None:
    print(f"| {num_studies} studies, spreads | rule | half by | decided by 20 | seeds |")
    for size in (0.0, *SIZES[::-1]):
        for name, at in normal_studies(size, num_studies).items():
            half = f"{np.median(at):.0f}" if np.median(at) <= MOST else f"> {MOST}"
            share, spent = 100 * np.mean(at <= MOST), np.minimum(at, MOST).mean()
            print(f"| {size:g} | {name} | {half} | {share:.1f} | {spent:.1f} |", flush=True)


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
