"""The time of commands that train nothing, each in a cold process: medians of several runs.

The modules' bytecode is kept for all processes, as an installation keeps it, whatever the
environment says of it. The processor's own time is measured beside the time that passes, which is
longer on a machine with other work.

python -m benchmarks.start --rounds 10
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

STUDY = """
name: start
model: minilm
data: demo
tasks: [demo-sentiment]
seeds: [1, 2]
max_train_samples: 32
max_eval_samples: 24
training: {num_train_epochs: 1}
arms: {full: {method: full}, bitfit: {method: bitfit}, lora: {method: lora, r: 4}}
"""
COMMANDS = {
    "--help": 0.5,
    "list tasks": 0.5,
    "list trials": 0.5,
    "status": 0.5,
    "params --model minilm --method lora": 2.0,
    "run start.yaml --dry-run": 2.0,
    "report start": 2.0,
}
"""The commands, each with the seconds below which it must stay on a quiet machine."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """The seconds that a process took: those that passed, and those of the processor."""

    passed: float
    processor: float


def taken_by(command: str, folder: Path) -> Taken:
    """Return how long one process takes for a command in that folder."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    subprocess.run(
        [sys.executable, "-m", "peftlab", *command.split()],
        cwd=folder,
        check=True,
        capture_output=True,
        env=os.environ
        | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "bytecode")},
    )
    passed, after = perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Taken(
        passed=passed,
        processor=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    )


def main() -> None:
    """Run a small study, then each command in turn, once in every round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    print(f"load before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "start.yaml").write_text(STUDY)
        taken_by("run start.yaml", folder)
        first = {command: taken_by(command, folder).passed for command in COMMANDS}
        times = {
            command: [taken_by(command, folder) for _ in range(given.rounds)]
            for command in COMMANDS
        }
    print("| command | first, s | median, s | min, max | processor, s | goal, s |")
    print("| --- | ---: | ---: | --- | ---: | ---: |")
    for command, every in times.items():
        passed = [one.passed for one in every]
        processor = statistics.median(one.processor for one in every)
        print(
            f"| `{command}` | {first[command]:.2f} | {statistics.median(passed):.2f} | "
            f"{min(passed):.2f}, {max(passed):.2f} | {processor:.2f} | {COMMANDS[command]} |"
        )


if __name__ == "__main__":
    main()
