"""The coverage of the interval of a mean, by the composition of the noise.

    python -m benchmarks.noise_parts

Estimates and their parts are drawn from the model of stats/noise.py itself, normal luck and the
bootstrap of 400 examples without its own error, so that the only uncertainty left is that of few
seeds.
"""

from __future__ import annotations

import numpy as np

from peftlab.stats.noise import Noise, SeedNoise

NUM_SEEDS = (3, 5, 10)
NUM_STUDIES, NUM_EXAMPLES = 10_000, 400
PARTS = (
    (0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (0.0, 4.0, 1.0), (0.0, 1.0, 0.0),
    (1.0, 0.5, 1.0), (1.0, 3.0, 1.0), (1.0, 4.0, 0.1), (4.0, 1.0, 1.0),
)  # fmt: skip
"""The values of V_E, V_S and V_SE."""


def main() -> None:
    """Print a line for each composition."""
    print("| V_E | V_S | V_SE |", " | ".join(f"{number} seeds" for number in NUM_SEEDS), "|")
    for parts in PARTS:
        shares = [f"{100 * held(*parts, num_seeds):.1f}" for num_seeds in NUM_SEEDS]
        print("|", " | ".join(f"{part:g}" for part in parts), "|", " | ".join(shares), "|")


def held(examples: float, seeds: float, own: float, num_seeds: int) -> float:
    """Return the share of intervals that hold the truth."""
    generator = np.random.default_rng(0)
    truth = np.sqrt(examples + (seeds + own) / num_seeds)
    found = 0
    for _ in range(NUM_STUDIES):
        spread = (seeds + own) * generator.chisquare(num_seeds - 1) / (num_seeds - 1)
        group = SeedNoise(spread=spread, own=own, num_seeds=num_seeds)
        noise = Noise(examples=examples, num_examples=NUM_EXAMPLES, seeds=(group,))
        found += abs(generator.normal()) * truth <= noise.half_width
    return found / NUM_STUDIES


if __name__ == "__main__":
    main()
