"""Does "What to use" hold? Arms whose true scores and costs are known, many times over.

    OMP_NUM_THREADS=1 python -m benchmarks.simulated_advice --studies 2000 --processes 2

Arms are drawn as in simulated_studies; a run takes its arm's true time, with 3% of noise. Advice is
given by the functions that the report gives it by, for a margin of one point: of the arms that are
shown to be near the best the cheapest, unless a cheaper one may be as good. It prints for each case
and number of seeds in how many of 100 studies an arm is recommended, one is that is truly more than
the margin below the best, and which one; and in how many one is named that will do, while a cheaper
one may be as good. The cases:

- `one cheap arm`, `eight cheap arms`: each is truly 1.01 points below the dear one, and cheaper;
- `far`: a cheap arm is 4 points below one that is 10% dearer;
- `equal`: three arms that are equal in score and in time, with other numbers of parameters; the
  last column is how often two studies that recommend an arm recommend the same one.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from benchmarks.simulated_studies import NUM_RESAMPLES, Setting, draw_arms, true_score
from peftlab.core.identity import derived_seed
from peftlab.report.findings.costs import COST_LEVEL
from peftlab.stats.best import near_best_p, sum_is_larger
from peftlab.stats.compare import difference
from peftlab.stats.noise import LEVEL
from peftlab.stats.resample import resample

MARGIN = 1.0
NUM_SEEDS = (3, 5, 10)
TIME_NOISE = 0.03
AT_A_TIME = 50
NONE, WILL_DO = -1, -2


@dataclass(frozen=True, kw_only=True)
class Case:
    """Arms by how many points they are below the best, their times, and their parameters."""

    name: str
    below: tuple[float, ...]
    times: tuple[float, ...]
    parameters: tuple[int, ...]


CASES = (
    Case(name="one cheap arm", below=(0.0, 1.01), times=(10.0, 5.0), parameters=(9, 1)),
    Case(
        name="eight cheap arms",
        below=(0.0, *[1.01] * 8),
        times=(10.0, *[5.0 + place / 10 for place in range(8)]),
        parameters=(9, *range(1, 9)),
    ),
    Case(name="far", below=(0.0, 4.0), times=(11.0, 10.0), parameters=(2, 1)),
    Case(name="equal", below=(0.0, 0.0, 0.0), times=(10.0, 10.0, 10.0), parameters=(3, 2, 1)),
)


def shift_for(setting: Setting, points: float) -> float:
    """By how many probits an arm is worse that scores so many points less."""
    best, low, high = true_score(setting, 0.0), 0.0, 3.0
    for _ in range(40):
        middle = (low + high) / 2
        is_beyond = best - true_score(setting, middle) > points
        low, high = (low, middle) if is_beyond else (middle, high)
    return (low + high) / 2


def chosen(case: Case, setting: Setting, generator: np.random.Generator) -> int:
    """Return the place of the arm that is recommended in one study; NONE or WILL_DO for none."""
    shifts = [shift_for(setting, points) for points in case.below]
    arms = resample(draw_arms(setting, shifts, generator), generator, num=NUM_RESAMPLES)
    p_values = np.array(
        [[1.0 if one is two else difference(one, two).p_above(-MARGIN) for two in arms]
         for one in arms]
    )  # fmt: skip
    near = [place for place, p in enumerate(near_best_p(p_values)) if p <= LEVEL]
    if not near:
        return NONE
    times = [
        list(time * (1 + TIME_NOISE * generator.normal(size=setting.num_seeds)))
        for time in case.times
    ]

    def cheapest(places: Sequence[int]) -> int:
        least = min(places, key=lambda place: float(np.mean(times[place])))
        alike = [p for p in places if not sum_is_larger([times[p]], [times[least]], COST_LEVEL)]
        return min(alike, key=lambda place: case.parameters[place])

    found = cheapest(near)
    for place in range(len(arms)):
        if place not in near and cheapest([found, place]) == place:
            less = difference(arms[place], arms[found])
            if less.estimate >= 0 or less.p_value > LEVEL:
                return WILL_DO
    return found


def simulate(case: Case, setting: Setting, seed: int, num_studies: int) -> list[int]:
    """What is recommended in each of so many studies."""
    generator = np.random.default_rng(seed)
    return [chosen(case, setting, generator) for _ in range(num_studies)]


def main() -> None:
    """Print a line a case and number of seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--examples", type=int, default=3000)
    given = parser.parse_args()
    print("| case | seeds | any | wrong | which | will do | the same |", flush=True)
    with ProcessPoolExecutor(given.processes) as pool:
        for case in CASES:
            for num_seeds in NUM_SEEDS:
                setting = Setting(
                    metric="accuracy", num_seeds=num_seeds, num_examples=given.examples, luck=0.03
                )
                sizes = [AT_A_TIME] * (given.studies // AT_A_TIME)
                seeds = [derived_seed(0, case.name, num_seeds, one) for one in range(len(sizes))]
                many = len(sizes)
                parts = pool.map(simulate, [case] * many, [setting] * many, seeds, sizes)
                _print(case, num_seeds, [place for part in parts for place in part])


def _print(case: Case, num_seeds: int, found: list[int]) -> None:
    counts = Counter(place for place in found if place >= 0)
    num = sum(counts.values())
    wrong = sum(count for place, count in counts.items() if case.below[place] > MARGIN)
    same = sum((count / num) ** 2 for count in counts.values()) if num else float("nan")
    which = ", ".join(f"arm {place}: {100 * counts[place] / len(found):.1f}"
                      for place in sorted(counts))  # fmt: skip
    print(
        f"| {case.name} | {num_seeds} | {100 * num / len(found):.1f} | "
        f"{100 * wrong / len(found):.1f} | {which} | "
        f"{100 * found.count(WILL_DO) / len(found):.1f} | {100 * same:.1f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
