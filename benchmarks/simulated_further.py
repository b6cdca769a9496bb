"""A simulation of how often the stated number of further seeds decides a comparison.

    OMP_NUM_THREADS=1 python -m benchmarks.simulated_further --studies 200 --processes 2

A study has two arms, drawn as in simulated_families, that differ by a multiple of the spread of a
pair of runs. Where the test of its first seeds does not decide, it gets as many further seeds as
the report says would decide it in 80% of cases if the true difference were the estimated one, and
is then tested as one that was looked at. It prints, for each kind of noise, number of seeds and
true difference, in percent of the studies how many are not decided at first, and what is said of
these: that the examples forbid it, that it takes too many seeds, or a number; then of those that
get one its median, in how many percent of cases it was to decide over all differences that were
possible, and in how many it did. `all` are the sizes together, each as likely as another.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.simulated_families import KINDS, Family, differences
from peftlab.core.identity import derived_seed
from peftlab.stats.noise import LEVEL
from peftlab.stats.power import MOST_SEEDS, FurtherSeeds, Hopeless, further_seeds

KINDS_SHOWN = ("even", "seeds")
NUM_SEEDS = (3, 5)
SIZES = (0.0, 0.5, 1.0, 2.0, 4.0)
"""The true differences, in spreads of a pair of runs."""
AT_A_TIME = 10


@dataclass(frozen=True, kw_only=True)
class Fate:
    """The statement on an undecided study, and whether the seeds that it asked for decided it."""

    said: FurtherSeeds | Hopeless
    is_decided: bool


def simulate(family: Family, seed: int, num_studies: int) -> list[dict[int, Fate | None]]:
    """Return each study's fate, by the number of its first seeds; None if these decide."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(num_studies):
        (own,) = differences(family, generator, range(min(NUM_SEEDS), MOST_SEEDS + 1))
        fates: dict[int, Fate | None] = {}
        for num in NUM_SEEDS:
            fates[num] = None
            if own[num].p_value > LEVEL:
                said = further_seeds(own[num], None, LEVEL, generator)
                is_decided = False
                if isinstance(said, FurtherSeeds):
                    last = replace(own[num + said.num], is_always_valid=True)
                    is_decided = last.p_value <= LEVEL
                fates[num] = Fate(said=said, is_decided=is_decided)
        found.append(fates)
    return found


def main() -> None:
    """Print a line for each kind of noise, number of seeds and true difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    print("| noise | seeds | difference | not decided | forbidden by examples | too many |",
          "a number | its median | was to decide | did |", flush=True)  # fmt: skip
    sizes = [AT_A_TIME] * max(1, round(given.studies / AT_A_TIME))
    with ProcessPoolExecutor(given.processes) as pool:
        for kind in KINDS_SHOWN:
            setting = replace(KINDS[kind], num_seeds=MOST_SEEDS)
            by_size = {}
            for size in SIZES:
                family = Family(setting=setting, num_claims=1, size=size)
                seeds = [derived_seed(0, kind, f"{size:g}", one) for one in range(len(sizes))]
                parts = pool.map(simulate, [family] * len(sizes), seeds, sizes)
                by_size[size] = [fates for part in parts for fates in part]
            for num in NUM_SEEDS:
                for size, studies in by_size.items():
                    _print(kind, num, f"{size:g}", [own[num] for own in studies])
                every = [own[num] for studies in by_size.values() for own in studies]
                _print(kind, num, "all", every)


def _print(kind: str, num_seeds: int, size: str, fates: Sequence[Fate | None]) -> None:
    undecided = [one for one in fates if one is not None]
    told = [(one.said, one.is_decided) for one in undecided if isinstance(one.said, FurtherSeeds)]
    counts = [len(undecided), *(sum(one.said == why for one in undecided)
                                for why in ("examples", "too many")), len(told)]  # fmt: skip
    cells = [f"{100 * count / len(fates):.1f}" for count in counts]
    if not told:
        cells += [""] * 3
    else:
        cells += [
            f"{np.median([said.num for said, _ in told]):.0f}",
            f"{100 * np.mean([said.chance for said, _ in told]):.0f}",
            f"{100 * np.mean([is_decided for _, is_decided in told]):.0f}",
        ]
    print(f"| {kind} | {num_seeds} | {size} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
