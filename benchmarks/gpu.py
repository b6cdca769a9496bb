"""What a GPU computes and how fast: one script for the hours in which a card is at hand.

    python -m benchmarks.gpu --data path/to/glue --output gpu-results

Each section runs in a process of its own under a time limit and leaves SECTION.json in the output
folder, written anew whenever it has found something: what is measured stays measured when a section
fails or is cut off, itself included. `--section NAME`, which may be repeated, runs some of them
alone. The whole takes at most six minutes; what does not fit is cut off or left out, and named.
`python -m benchmarks.gpu_tables gpu-results` prints the tables of docs/performance.md from it.

- machine: the card, the versions, and the peaks of its matrix products
- agreement: each kernel, AdamW and a graph against plain PyTorch, as when a card is first used
- steps: a training step of this engine and of transformers.Trainer, in float32, TF32 and bf16
- groups: several trials in one step, trial-steps a second
- recorded: steps played as graphs against the same steps one operation at a time, and the same bits
- twins: a step of a small BERT by the Triton kernels against their plain twins, float32 and bf16
- launches: kernels, copies and waits of a step, and how long the card is at work in it
- evaluation: rows predicted a second, and by the Trainer at several batch sizes
- resume: the same bits when a trial is run again, and when it is stopped and gone on from
- memory: a trial in too little memory, which takes half as many examples at once
- plan: what `run --dry-run` foretells of a study beside what it takes
- energy: joules by the card's counter beside the power that nvidia-smi shows
- families: every architecture, tiny and with random weights, against the CPU, dropout on
- methods: every method on MiniLM against the CPU, dropout on
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks import gpu_correct, gpu_groups, gpu_speed
from benchmarks.gpu_setup import Told

SECTIONS: dict[str, tuple[Callable[[argparse.Namespace], Told], float]] = {
    "machine": (gpu_speed.machine, 30),
    "agreement": (gpu_correct.agreement, 60),
    "steps": (gpu_speed.steps, 110),
    "groups": (gpu_groups.groups, 60),
    "recorded": (gpu_correct.recorded, 45),
    "twins": (gpu_correct.twins, 30),
    "launches": (gpu_speed.launches, 30),
    "evaluation": (gpu_speed.evaluation, 40),
    "resume": (gpu_correct.resume, 30),
    "memory": (gpu_correct.memory, 30),
    "plan": (gpu_speed.plan, 30),
    "energy": (gpu_speed.energy, 20),
    "families": (gpu_correct.families, 90),
    "methods": (gpu_correct.methods, 150),
}
"""Each section and the seconds that it may take, the most telling first."""
WHOLE = 360
"""The seconds that a run of all of them may take."""


def main() -> None:
    """Run the sections that are asked for, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="a GLUE folder, for the sections steps and evaluation")
    parser.add_argument("--output", type=Path, default=Path("gpu-results"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minilm", default="minilm", help="the name or the folder of MiniLM")
    parser.add_argument("--section", action="append", choices=SECTIONS)
    parser.add_argument("--here", action="store_true", help="in this process, one section")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    if given.here:
        (name,) = given.section
        run_here(name, SECTIONS[name][0], given)
        return
    ends = perf_counter() + WHOLE
    for name in given.section or SECTIONS:
        began, limit = perf_counter(), SECTIONS[name][1]
        if not given.section:
            limit = min(limit, ends - began)
        if limit <= 0:
            put(given.output, name, status=f"left out: {WHOLE} s were over")
        else:
            run_apart(name, given, limit)
        status = read(given.output, name)["status"]
        print(f"{name}: {status}, {perf_counter() - began:.0f} s", flush=True)


def run_apart(name: str, given: argparse.Namespace, limit: float) -> None:
    """Run a section in a process of its own, which is ended when the limit is over."""
    put(given.output, name, status="begun")
    options = ["--section", name, "--here", f"--output={given.output}"]
    options += [f"--device={given.device}", f"--minilm={given.minilm}"]
    options += [f"--data={given.data}"] if given.data else []
    environment = dict(os.environ)
    if name != "agreement":  # which decides for the user, and is what this section is about
        environment.setdefault("PEFTLAB_KERNELS", "triton")
    command = [sys.executable, "-m", "benchmarks.gpu", *options]
    try:
        code = subprocess.run(command, env=environment, timeout=limit, check=False).returncode
    except subprocess.TimeoutExpired:
        put(given.output, name, status=f"cut off after {limit:.0f} s")
        return
    if read(given.output, name)["status"] == "begun":
        put(given.output, name, status=f"ended with status {code}")


def run_here(
    name: str, section: Callable[[argparse.Namespace], Told], given: argparse.Namespace
) -> None:
    """Run a section, storing each thing that it finds at once, and how it ended."""
    status, began = "done", perf_counter()
    found: dict[str, Any] = {}
    try:
        for key, value in section(given):
            found[key] = value
            print(name, key, json.dumps(value)[:500], flush=True)
            put(given.output, name, found=found)
    except Exception as error:
        traceback.print_exc()
        status = f"failed: {type(error).__name__}: {error}".splitlines()[0][:300]
    put(given.output, name, status=status, seconds=round(perf_counter() - began, 1))


def put(folder: Path, name: str, **changes: Any) -> None:
    """Change a section's results; a section that begins has none."""
    known = {} if changes.get("status") == "begun" else read(folder, name)
    aside = folder / f"{name}.json.new"
    aside.write_text(json.dumps({"found": {}, **known, **changes}, indent=1) + "\n")
    aside.replace(folder / f"{name}.json")


def read(folder: Path, name: str) -> dict[str, Any]:
    """Return a section's status, what it has found, and its seconds; {} where it has not begun."""
    try:
        known: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    except (OSError, ValueError):
        return {}
    return known


if __name__ == "__main__":
    main()
