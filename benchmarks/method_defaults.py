"""The defaults of every method in the registry, at three learning rates each, on real data.

    python -m benchmarks.method_defaults --data path/to/glue --workspace defaults

It writes a study of one arm a method and rate and has `peftlab run` run it: first every method at
the rate that is its default now, then at the lower and the higher one. If it is stopped and run
again, it continues. The result of each trial is appended to benchmarks/method_defaults.jsonl, and
the table of docs/methods.md is printed from that file; with --table alone nothing is run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from peftlab.core.training import TrainingSettings
from peftlab.methods.base import Method
from peftlab.methods.registry import METHODS

RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
RESULTS = Path(__file__).with_suffix(".jsonl")


def main() -> None:
    """Run the missing trials, keep their results, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="a GLUE folder")
    parser.add_argument("--workspace", type=Path, default=Path("peftlab-defaults"))
    parser.add_argument("--task", default="sst2")
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--eval-rows", type=int, default=872)
    parser.add_argument("--rates", type=int, default=3, choices=(1, 2, 3))
    parser.add_argument("--methods", default="", help="only these, comma-separated")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--table", action="store_true", help="only print the table")
    given = parser.parse_args()
    if not given.table:
        if given.data is None:
            parser.error("--data is missing: a GLUE folder")
        _run(given)
    print(table([json.loads(line) for line in RESULTS.read_text().splitlines()]))


def rates_of(method: Method) -> tuple[float, float, float]:
    """Return the default rate, on the grid, and its neighbours: (default, lower, higher)."""
    default = method.learning_rate or TrainingSettings().learning_rate
    nearest = min(range(1, len(RATES) - 1), key=lambda k: abs(RATES[k] / default - 1))
    return RATES[nearest], RATES[nearest - 1], RATES[nearest + 1]


def study_of(given: argparse.Namespace) -> dict[str, Any]:
    """Return the study in the form of its file."""
    return {
        "name": f"method-defaults-{given.task}",
        "description": "Every method at its defaults, at three learning rates.",
        "model": given.model,
        "data": given.data,
        "tasks": [given.task],
        "seeds": [given.seed],
        "max_train_samples": given.rows,
        "max_eval_samples": given.eval_rows,
        "training": {"num_train_epochs": given.epochs, "per_device_train_batch_size": 16},
        "arms": {
            f"{method.name}-at-{rates_of(method)[k]:g}": {
                "method": method.name,
                "training": {"learning_rate": rates_of(method)[k]},
            }
            for k in range(given.rates)
            for method in METHODS
            if not given.methods or method.name in given.methods.split(",")
        },
    }


def _run(given: argparse.Namespace) -> None:
    given.workspace.mkdir(parents=True, exist_ok=True)
    file = given.workspace / "method-defaults.yaml"
    file.write_text(yaml.safe_dump(study_of(given), sort_keys=False))
    peftlab = [sys.executable, "-m", "peftlab"]
    place = ["--workspace", str(given.workspace)]
    subprocess.run([*peftlab, "run", str(file), *place, "--executor", "inline"], check=False)
    study = ["--study", f"method-defaults-{given.task}"]
    done = subprocess.run(
        [*peftlab, "list", "trials", *study, *place, "--json"], stdout=subprocess.PIPE, check=True
    )
    known = set()
    if RESULTS.is_file():
        known = {json.loads(line)["id"] for line in RESULTS.read_text().splitlines()}
    with RESULTS.open("a", encoding="utf-8") as stream:
        for trial in json.loads(done.stdout):
            if trial["id"] not in known and trial["status"] == "done":
                stream.write(json.dumps(_kept(trial, given)) + "\n")


def _kept(trial: dict[str, Any], given: argparse.Namespace) -> dict[str, Any]:
    (arm,) = trial["arm"]
    method, _, rate = arm.rpartition("-at-")
    return {
        "id": trial["id"],
        "date": date.today().isoformat(),
        "method": method,
        "learning_rate": float(rate),
        "task": given.task,
        "model": given.model,
        "rows": given.rows,
        "eval_rows": given.eval_rows,
        "epochs": given.epochs,
        "seed": given.seed,
        "scores": trial["scores"],
        "trainable": trial["costs"]["parameters"]["trainable"],
        "train_seconds": trial["costs"]["train_seconds"],
        "path": trial["costs"]["path"],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return a Markdown table, one line per method in the registry's order, best scores in bold."""
    lines = [
        "| method | trainable | score at each learning rate | packed |",
        "| --- | ---: | --- | --- |",
    ]
    return "\n".join([*lines, *_lines(rows)])


def _lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    for method in METHODS:
        own = sorted(
            (row for row in rows if row["method"] == method.name),
            key=lambda row: row["learning_rate"],
        )
        if not own:
            continue
        best = max(_score(row) for row in own)
        shown = [
            f"{row['learning_rate']:g}: "
            + (f"**{_score(row):.1f}**" if _score(row) == best else f"{_score(row):.1f}")
            for row in own
        ]
        packed = "yes" if own[0]["path"].startswith("packed") else "no"
        yield f"| {method.name} | {own[0]['trainable']:,} | {', '.join(shown)} | {packed} |"


def _score(row: dict[str, Any]) -> float:
    return float(next(iter(row["scores"].values())))


if __name__ == "__main__":
    main()
