"""A check that the engine `packed` and transformers.Trainer give equal scores, on MiniLM.

    python -m benchmarks.equivalence --data path/to/glue --output equivalence --task cola

The same trials run with both engines (same examples in the same order, other dropout masks); a
workspace in the output folder keeps them, so it can be stopped and run again. It prints the mean
difference with its 95% t interval, a paired t test over the seeds, and the smallest true
difference that this test would find four times out of five, from the differences' own spread.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from peftlab.store.workspace import Workspace
from peftlab.tasks.registry import TASKS

STUDY = """\
name: {engine}-{task}
model: minilm
engine: {engine}
tasks: [{task}]
seeds: [1, 2, 3, 4, 5]
max_train_samples: {rows}
training:
  num_train_epochs: {epochs}
  per_device_train_batch_size: 16
  learning_rate: {rate}
  warmup_steps: 0.1
arms:
  lora: {{method: lora, r: 8, lora_alpha: 16, lora_dropout: 0.1}}
"""
ENGINES = ("packed", "trainer")
LEVEL, POWER = 0.05, 0.8


def main() -> None:
    """Run the missing trials of both studies, then print a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="a GLUE folder")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rate", type=float, default=1e-3, help="of learning")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    for engine in ENGINES:
        study = given.output / f"{engine}-{given.task}.yaml"
        keys = {"task": given.task, "rows": given.rows, "epochs": given.epochs, "rate": given.rate}
        study.write_text(STUDY.format(engine=engine, **keys))
        subprocess.run(
            [
                sys.executable, "-m", "peftlab", "run", str(study), "--data", given.data,
                "--workspace", str(given.output / "runs"),
            ],
            check=True,
        )  # fmt: skip
    with Workspace.open(given.output / "runs", create=False) as workspace:
        packed, trainer = (
            [
                next(iter(record.scores.values()))
                for record in workspace.trials(f"{engine}-{given.task}")
            ]
            for engine in ENGINES
        )
    metric = TASKS.get(given.task).main_metric
    print(f"{given.task} {metric}: {compared(packed, trainer)}")


def compared(first: Sequence[float], second: Sequence[float]) -> str:
    """Return both means, the difference and interval, the test and its sensitivity, in points."""
    differences = np.asarray(first) - np.asarray(second)
    size, mean = len(differences), float(np.mean(differences))
    error = float(np.std(differences, ddof=1)) / math.sqrt(size)
    quantile = float(stats.t.ppf(1 - LEVEL / 2, size - 1))
    p = float(stats.ttest_rel(first, second).pvalue)
    return (
        f"packed {np.mean(first):.2f} (sd {np.std(first, ddof=1):.2f}), "
        f"trainer {np.mean(second):.2f} (sd {np.std(second, ddof=1):.2f}), "
        f"difference {mean:+.2f} [{mean - quantile * error:+.2f}, {mean + quantile * error:+.2f}], "
        f"paired t test over {size} seeds p = {p:.2f}; "
        f"finds {detectable(error, size):.2f} points in {POWER:.0%} of cases"
    )


def detectable(error: float, size: int) -> float:
    """Return the true difference at which the paired t test has the power POWER."""
    quantile = stats.t.ppf(1 - LEVEL / 2, size - 1)

    def excess(shift: float) -> float:
        return float(stats.nct.sf(quantile, size - 1, shift)) - POWER

    return float(brentq(excess, 0.1, 50)) * error


if __name__ == "__main__":
    main()
