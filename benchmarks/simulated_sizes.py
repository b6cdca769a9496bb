"""Whether what is expected on twice the rows comes true, for scores of known truth.

Run it with `OMP_NUM_THREADS=1 python -m benchmarks.simulated_sizes --studies 1000`. Scores at 100,
300, 1,000, 3,000 (and 10,000) rows follow a power law, or do not: `steps` rise at once between two
sizes, `falls` fall with more rows, `level` do not change. A line of the table is, in percent of the
studies, how often something is predicted, and of these predictions how many of the 95% intervals
hold the score that other seeds have on twice the rows, with how wide they are in points.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from peftlab.stats.power_law import MeanAtSize, Prediction, predicted

SIZES = (100.0, 300.0, 1000.0, 3000.0, 10000.0)
SPREAD, EXAMPLES = 1.5, 1.0
"""The spread of a run in points, and the standard error of a score by its examples."""
TRUTHS: dict[str, Callable[[float], float]] = {
    "to 100": lambda n: 100 - 40 * (n / 100) ** -0.3,
    "to 90": lambda n: 90 - 25 * (n / 100) ** -0.5,
    "to 85, fast": lambda n: 85 - 20 * (n / 100) ** -1.0,
    "level": lambda n: 80.0,
    "falls": lambda n: 85 - 3 * np.log10(n / 100),
    "steps": lambda n: 60.0 if n < 500 else 85.0,
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    wanted = parser.parse_args()
    print("| scores | sizes | seeds | predicted | hold the truth | width |")
    print("| --- | --: | --: | --: | --: | --: |")
    for name, truth in TRUTHS.items():
        for num_sizes in (4, 5):
            for seeds in (3, 5):
                cells = measured(truth, num_sizes, seeds, wanted.studies)
                print(f"| {name} | {num_sizes} | {seeds} |", " | ".join(cells), "|", flush=True)


def measured(
    truth: Callable[[float], float], num_sizes: int, seeds: int, studies: int
) -> tuple[str, str, str]:
    """Return how often there is a prediction, how often it is true, and its mean width."""
    generator = np.random.default_rng([num_sizes, seeds])
    sizes = SIZES[:num_sizes]
    after = 2 * sizes[-1]
    held, widths = [], []
    for _ in range(studies):
        shift = generator.normal(0, EXAMPLES)
        runs = [truth(n) + shift + generator.normal(0, SPREAD, seeds) for n in sizes]
        means = [
            MeanAtSize(
                num_rows=n,
                merit=float(own.mean()),
                error=float(own.std(ddof=1)) / seeds**0.5,
                num_seeds=seeds,
            )
            for n, own in zip(sizes, runs, strict=True)
        ]
        found = predicted(means, after, examples=EXAMPLES**2, best=100.0, generator=generator)
        if isinstance(found, Prediction):
            held.append(found.low <= truth(after) <= found.high)
            widths.append(found.high - found.low)
    share = 100 * len(held) / studies
    if not held:
        return f"{share:.1f}", "-", "-"
    return f"{share:.1f}", f"{100 * np.mean(held):.1f}", f"{np.mean(widths):.1f}"


if __name__ == "__main__":
    main()
