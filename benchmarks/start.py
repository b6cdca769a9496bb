"""How long commands take that train nothing, each in a cold process: medians of several.

python -m benchmarks.start --rounds 10
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
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
"""Commands, and the seconds that each is to stay below on a quiet machine."""


def seconds_of(command: str, folder: Path) -> float:
    """Return how long one process takes for a command in that folder."""
    began = perf_counter()
    arguments = [sys.executable, "-m", "peftlab", *command.split()]
    subprocess.run(arguments, cwd=folder, check=True, capture_output=True)
    return perf_counter() - began


def main() -> None:
    """Run a small study, then each command in turn, as many times as there are rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    print(f"load before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "start.yaml").write_text(STUDY)
        seconds_of("run start.yaml", folder)
        first = {command: seconds_of(command, folder) for command in COMMANDS}
        times = {
            command: [seconds_of(command, folder) for _ in range(given.rounds)]
            for command in COMMANDS
        }
    print("| command | first, s | median, s | min, max | goal, s |")
    print("| --- | ---: | ---: | --- | ---: |")
    for command, found in times.items():
        print(
            f"| `{command}` | {first[command]:.2f} | {statistics.median(found):.2f} | "
            f"{min(found):.2f}, {max(found):.2f} | {COMMANDS[command]} |"
        )


if __name__ == "__main__":
    main()
