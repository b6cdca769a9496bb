"""The project's benchmark: peftlab bench over models, methods and tasks, one cell at a time.

    python -m benchmarks.table --data path/to/glue --output benchmarks/results.jsonl

A cell that is already in the output file is not run again, so the benchmark can be stopped at any
time. At the end the table of docs/performance.md is printed from all cells. Nothing else should run
on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

MINILM = ["--model", "minilm"]
BERT_BASE = [
    "--model", "google-bert/bert-base-uncased", "--random-weights", "--tokenizer", "minilm",
]  # fmt: skip
TASKS = ("sst2", "cola", "mrpc")
ROWS = [
    ("minilm, lora r=8", [*MINILM, "--method", "lora"]),
    ("minilm, bitfit", [*MINILM, "--method", "bitfit"]),
    ("minilm, full", [*MINILM, "--method", "full"]),
    ("bert-base shapes, lora r=8", [*BERT_BASE, "--method", "lora", "--no-grouped"]),
]


def main() -> None:
    """Run the cells that are missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="a GLUE folder")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results.jsonl"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--only", default="", help="cells whose name contains this")
    given = parser.parse_args()
    cells = read(given.output)
    for name, options in ROWS:
        for task in TASKS:
            key = f"{name}, {task}"
            if key in cells or given.only not in key:
                continue
            print(key, file=sys.stderr)
            command = [
                sys.executable, "-m", "peftlab", "bench", *options, "--data", given.data,
                "--task", task, "--rounds", str(given.rounds), "--steps", str(given.steps),
                "--json",
            ]  # fmt: skip
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            cells[key] = json.loads(done.stdout)
            cells[key]["setup"]["data"] = "a GLUE folder"
            with given.output.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"cell": key, **cells[key]}) + "\n")
    print(table(cells))


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Return the cells in a file of results, by name; the last one if a name is there twice."""
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {row["cell"]: row for row in map(json.loads, lines)}


def table(cells: dict[str, dict[str, Any]]) -> str:
    """Return a Markdown table, one row per cell: ratios of speed, shares of the peak, memory."""
    lines = [
        "| cell | against the Trainer | min, max | against length-grouped | evaluation "
        "| share of the peak, ours / Trainer | peak memory, ours / Trainer |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, cell in cells.items():
        ours, peer = cell["sides"]["packed"], cell["sides"]["trainer"]
        grouped = cell["sides"].get("trainer-grouped")
        ratio, evaluation = peer["train_ratio"], peer["eval_ratio"]
        memory = [f"{side['peak_memory_bytes'] / 1e6:,.0f}" for side in (ours, peer)]
        against = "-" if grouped is None else f"{grouped['train_ratio']['median']:.2f}x"
        lines.append(
            f"| {name} | {ratio['median']:.2f}x | {ratio['least']:.2f}, {ratio['greatest']:.2f} "
            f"| {against} | {evaluation['median']:.2f}x "
            f"| {ours['share_of_peak']:.2f} / {peer['share_of_peak']:.2f} "
            f"| {' / '.join(memory)} MB |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
