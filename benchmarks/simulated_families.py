"""A simulation of verdicts on many claims, at one look and at every look, with known truth.

    OMP_NUM_THREADS=1 python -m benchmarks.simulated_families --studies 1000 --processes 2

A study has pairs of arms, a claim each, on the same examples. Whether a run is right on an example
is a draw of its own, given the luck of the run and the difficulty of the example
(simulated_studies). Kinds of noise: `even`, in which runs have luck of about the size that their
examples give them; `heavy`, the same with tails of Student's t with three degrees of freedom;
`seeds`, where runs have four times the luck; `f1` and `matthews`, even noise by these metrics; and
`collapse`, where one run in ten gives one answer to everything. It prints, for each kind, number of
claims and of seeds, in how many of 100 studies

- any of the claims is decided though all arms are equal: with the test for one look; with the test
  that it replaced (Satterthwaite's degrees of freedom);
- a claim whose arms differ by twice the spread of a pair of runs is decided, five claims being
  tested: with the test for one look, and with the older one at the level at which it is wrong in 5%
  of the studies of every kind.

Then, for seeds that are added one at a time to 20: in how many any claim is ever decided wrongly,
with the test for any number of looks; with the test for one look at each; with the test for one
look at three declared seeds, and the other one for every seed that is added; with interim verdicts
until the 20 declared seeds are done, and the test for one look then; how often arms that differ by
just the margin are ever called equivalent; and after how many seeds half of the claims are decided
whose arms differ by 2, 1 and 0.5 spreads of a pair of runs.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from benchmarks.simulated_studies import NUM_RESAMPLES, Setting, draw_arms
from peftlab.core.identity import derived_seed
from peftlab.stats.compare import Difference, difference
from peftlab.stats.families import holm
from peftlab.stats.noise import LEVEL
from peftlab.stats.resample import resample

KINDS = {
    "even": Setting(metric="accuracy", num_seeds=20),
    "heavy": Setting(metric="accuracy", num_seeds=20, tails="t3"),
    "seeds": Setting(metric="accuracy", num_seeds=20, luck=0.4, num_examples=2000),
    "f1": Setting(metric="f1", num_seeds=20),
    "matthews": Setting(metric="matthews_correlation", num_seeds=20),
    "collapse": Setting(metric="accuracy", num_seeds=20, collapsed=0.1),
}
NUM_SEEDS, NUM_CLAIMS = (3, 5, 10), (1, 5, 20)
FIRST_LOOK, MOST_SEEDS = 5, 20
SIZES = (2.0, 1.0, 0.5)
"""The true differences, in spreads of a pair of runs."""
AT_A_TIME = 10


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of claims on pairs of arms that differ by `size` spreads of a pair of runs."""

    setting: Setting
    num_claims: int
    size: float = 0.0


def differences(
    family: Family, generator: np.random.Generator, sizes: Sequence[int]
) -> list[dict[int, Difference]]:
    """Return each claim's difference, by the number of seeds that are used."""
    setting = family.setting
    shift = shift_of(setting, family.size) if family.size else 0.0
    shifts = [0.0, shift] * family.num_claims
    drawn = resample(draw_arms(setting, shifts, generator), generator, num=NUM_RESAMPLES)
    pairs = zip(drawn[::2], drawn[1::2], strict=True)
    return [
        {
            num: difference(first.of_seeds(first.seeds[:num]), second.of_seeds(second.seeds[:num]))
            for num in sizes
        }
        for first, second in pairs
    ]


def satterthwaite_p(found: Difference) -> float:
    """Return the two-sided p value of the older test."""
    noise = found.noise
    parts = [(one.spread / one.num_seeds) ** 2 / (one.num_seeds - 1) for one in noise.seeds]
    most = noise.num_examples - 1
    degrees = min(noise.error**4 / sum(parts), most) if sum(parts) > 0 else most
    return float(2 * stats.t.sf(abs(found.estimate) / noise.error, degrees))


def spread_of_pair(setting: Setting) -> float:
    """Return the standard deviation of the difference between two runs of a seed, in points."""
    found = _measured(setting, 0.0)
    return math.sqrt(sum(group.spread for group in found.noise.seeds))


def shift_of(setting: Setting, size: float) -> float:
    """Return by how many probits an arm is worse if that is `size` spreads of a pair, in points."""
    key = (setting, size)
    if key not in _SHIFTS:
        wanted = size * spread_of_pair(setting)
        low, high = 0.0, 3.0
        for _ in range(12):
            middle = (low + high) / 2
            low, high = (
                (low, middle) if _measured(setting, middle).estimate > wanted else (middle, high)
            )
        _SHIFTS[key] = (low + high) / 2
    return _SHIFTS[key]


_SHIFTS: dict[tuple[Setting, float], float] = {}


def _measured(setting: Setting, shift: float) -> Difference:
    """Return the difference of very many runs on very many examples."""
    many = replace(setting, num_seeds=200, num_examples=setting.num_examples)
    generator = np.random.default_rng(7)
    return difference(*resample(draw_arms(many, [0.0, shift], generator), generator, num=20))


def one_look(family: Family, seed: int, num_studies: int) -> list[tuple[float, ...]]:
    """Return, by study and number of seeds, the lowest p value of both tests, and one claim's."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(num_studies):
        claims = differences(family, generator, NUM_SEEDS)
        row: list[float] = []
        for num in NUM_SEEDS:
            tests = [own[num] for own in claims]
            news, olds = [one.p_value for one in tests], [satterthwaite_p(one) for one in tests]
            row += [min(news), min(olds), news[0], olds[0]]
        found.append(tuple(row))
    return found


def every_look(family: Family, seed: int, num_studies: int) -> list[tuple[float, ...]]:
    """Return, by study, whether any claim is ever decided, and the number of seeds of the first.

    By the test for any number of looks; by that for one look; by that for one look at three seeds
    and then the other; interim, then by that for one look. Then whether it is ever equivalent.
    """
    generator = np.random.default_rng(seed)
    found: list[tuple[float, ...]] = []
    for _ in range(num_studies):
        claims = differences(family, generator, range(3, MOST_SEEDS + 1))
        looks = range(FIRST_LOOK, MOST_SEEDS + 1)
        always = [_always(own, looks) for own in claims]
        by_look = [[one[place].p_value for one in always] for place in range(len(looks))]
        is_ever = [min(holm(p_values)) <= LEVEL for p_values in by_look]
        fixed = [min(holm([own[num].p_value for own in claims])) <= LEVEL
                 for num in range(3, MOST_SEEDS + 1)]  # fmt: skip
        margin = family.size * spread_of_pair(family.setting) if family.size else math.nan
        equal = (
            [one.equivalence_p(margin) <= LEVEL for one in always[0]] if family.size else [False]
        )
        when = [num for num, own in zip(looks, always[0], strict=True) if own.p_value <= LEVEL]
        found.append((
            float(any(is_ever)), float(any(fixed)), float(fixed[0] or any(is_ever)),
            float(any(is_ever[:-1]) or fixed[-1]),
            float(any(equal)), float(min(when, default=MOST_SEEDS + 1)),
        ))  # fmt: skip
    return found


def _always(own: dict[int, Difference], looks: Iterable[int]) -> list[Difference]:
    return [replace(own[num], is_always_valid=True) for num in looks]


def main() -> None:
    """Print a table for one look, and one for every look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--kind", choices=list(KINDS), action="append", help="only these")
    parser.add_argument("--only", choices=("one", "every"), help="only one of the tables")
    given = parser.parse_args()
    kinds = {name: KINDS[name] for name in given.kind or KINDS}
    with ProcessPoolExecutor(given.processes) as pool:

        def run(function: Callable[..., list[tuple[float, ...]]], family: Family) -> np.ndarray:
            sizes = [AT_A_TIME] * (given.studies // AT_A_TIME)
            place = (function.__name__, str(family.setting), family.num_claims, f"{family.size:g}")
            seeds = [derived_seed(0, *map(str, place), number) for number in range(len(sizes))]
            parts = pool.map(function, [family] * len(sizes), seeds, sizes)
            return np.array([row for part in parts for row in part])

        if given.only != "every":
            _print_one_look(kinds, run)
        if given.only != "one":
            _print_every_look(kinds, run)


Run = Callable[[Callable[..., list[tuple[float, ...]]], Family], np.ndarray]


def _print_one_look(kinds: dict[str, Setting], run: Run) -> None:
    titles = ("noise", "seeds", "claims", "wrong", "older test", "decided", "older, calibrated")
    print("|", " | ".join(titles), "|", flush=True)
    wrong = {
        (kind, num_claims): run(
            one_look, Family(setting=replace(own, num_seeds=max(NUM_SEEDS)), num_claims=num_claims)
        )
        for kind, own in kinds.items()
        for num_claims in NUM_CLAIMS
    }
    right = {
        kind: run(
            one_look, Family(setting=replace(own, num_seeds=max(NUM_SEEDS)), num_claims=1, size=2.0)
        )
        for kind, own in kinds.items()
    }
    for place, num in enumerate(NUM_SEEDS):
        # The level at which the older test keeps 5% in every kind, five claims being tested.
        level = min(np.quantile(wrong[kind, 5][:, 4 * place + 1], LEVEL) for kind in kinds)
        for (kind, num_claims), rows in wrong.items():
            new, old = (np.mean(rows[:, 4 * place + side] * num_claims <= LEVEL) for side in (0, 1))
            cells = [f"{100 * new:.1f}", f"{100 * old:.1f}", "", ""]
            if num_claims == 5:
                powers = right[kind][:, 4 * place + 2], right[kind][:, 4 * place + 3]
                cells[2] = f"{100 * np.mean(powers[0] <= LEVEL / 5):.1f}"
                cells[3] = f"{100 * np.mean(powers[1] <= min(level, LEVEL / 5)):.1f}"
            print(f"| {kind} | {num} | {num_claims} |", " | ".join(cells), "|", flush=True)


def _print_every_look(kinds: dict[str, Setting], run: Run) -> None:
    titles = [f"seeds at {size:g}" for size in SIZES]
    print("| noise | claims | any number of looks | one look, each time |",
          "one look, then any number | interim, then one look |",
          " | ".join(titles), "| at the margin |", flush=True)  # fmt: skip
    for kind, setting in kinds.items():
        for num_claims in NUM_CLAIMS:
            rows = run(every_look, Family(setting=setting, num_claims=num_claims))
            cells = [f"{100 * share:.1f}" for share in rows[:, :4].mean(axis=0)]
            if num_claims == 1:
                sized = [run(every_look, Family(setting=setting, num_claims=1, size=size))
                         for size in SIZES]  # fmt: skip
                counts = [np.median(own[:, 5]) for own in sized]
                cells += [
                    f"{num:.0f}" if num <= MOST_SEEDS else f"> {MOST_SEEDS}" for num in counts
                ]
                cells.append(f"{100 * sized[0][:, 4].mean():.1f}")
            else:
                cells += [""] * (len(SIZES) + 1)
            print(f"| {kind} | {num_claims} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
