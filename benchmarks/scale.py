"""A study of very many trials that cost nothing: what planning, recording and reading them take.

    python benchmarks/scale.py --output scale

Each line is a process of its own, start-up and imports included: its seconds and its peak memory.
The trials are real but for their training: an executor tells at once what an engine would.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

STUDY = """\
name: scale
model: minilm
data: demo
tasks: [demo-sentiment, demo-acceptability, demo-paraphrase]
seeds: {seeds}
arms:
  full: {{method: full}}
  bitfit: {{method: bitfit}}
  lora: {{method: lora, sweep: {{r: [1, 2, 4, 8, 16, 32, 64, 128]}}}}
report:
  - scores: {{}}
"""
TRIALS_A_SEED = 30
STAGES = ("plan", "record", "status", "frame", "resume")


def main() -> None:
    """Run one stage, or all of them in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=1, help="records a trial, besides epoch 0")
    parser.add_argument("--stage", choices=STAGES)
    given = parser.parse_args()
    study, runs = given.output / "scale.yaml", given.output / "runs"
    if given.stage == "record":
        record(study, runs, given.epochs)
    elif given.stage == "frame":
        frame(runs)
    elif given.stage is None:
        given.output.mkdir(parents=True)
        seeds = [*range(math.ceil(given.trials / TRIALS_A_SEED))]
        study.write_text(STUDY.format(seeds=seeds))
        workspace = ["--workspace", str(runs)]
        print(f"{len(seeds) * TRIALS_A_SEED:,} trials")
        measured("plan", ["-m", "peftlab", "run", str(study), "--dry-run", "--json", *workspace])
        own = [__file__, "--output", str(given.output), "--epochs", str(given.epochs), "--stage"]
        measured("record", [*own, "record"])
        measured("status", ["-m", "peftlab", "status", "scale", *workspace])
        measured("frame", [*own, "frame"])
        measured("resume", ["-m", "peftlab", "run", str(study), *workspace])


def measured(name: str, command: Sequence[str]) -> None:
    """Run Python with these arguments; print what it took."""
    began = perf_counter()
    with Path(os.devnull).open("w") as nowhere:
        child = subprocess.Popen([sys.executable, *command], stdout=nowhere)
        _, status, usage = os.wait4(child.pid, 0)
    seconds = perf_counter() - began
    if status:
        raise SystemExit(f"{name} ended with status {os.waitstatus_to_exitcode(status)}")
    cpu = usage.ru_utime + usage.ru_stime
    print(
        f"{name}: {seconds:.2f} s ({cpu:.2f} s of a core), {usage.ru_maxrss / 1024:,.0f} MB",
        flush=True,
    )


def record(study: Path, runs: Path, num_epochs: int) -> None:
    """All trials through `execute` with an executor that trains nothing."""
    from peftlab.core.types import Costs, EpochRecord, ParameterCount
    from peftlab.engine.run import Outcome
    from peftlab.runner.execute import execute
    from peftlab.runner.executors.base import ExecutorOptions, Job, Listener
    from peftlab.runner.executors.registry import EXECUTORS
    from peftlab.store.workspace import Workspace
    from peftlab.study.expand import expand
    from peftlab.study.load import load_study
    from peftlab.tasks.registry import TASKS

    parameters = ParameterCount(
        trainable=1, total=2, total_peft_counting=2, backbone=0, adapter=1, head=0
    )
    costs = Costs(
        parameters=parameters,
        device="cpu",
        threads=1,
        train_seconds=1.0,
        eval_seconds=0.1,
        total_seconds=1.1,
        train_examples_per_second=1.0,
        train_tokens_per_second=1.0,
        padding_avoided=0.5,
    )
    outcome = Outcome(costs=costs, num_train_examples=16, num_eval_examples=16)
    scores = {TASKS.get(name).main_metric: 50.0 for name in TASKS.names()}
    first = EpochRecord(epoch=0, step=0, train_loss=None, eval_loss=0.7, scores=scores, seconds=0.0)

    class Idle:
        """Tells of every trial that it is done."""

        def __init__(self, options: ExecutorOptions) -> None:
            self._options = options

        def run(self, jobs: Sequence[Job], listener: Listener) -> None:
            began = perf_counter()
            for job in jobs:
                trial = job.trial
                listener.started(trial)
                listener.began(trial, 10 * num_epochs, num_epochs)
                listener.ended_epoch(trial, first)
                for epoch in range(1, num_epochs + 1):
                    told = {"epoch": epoch, "step": 10 * epoch, "train_loss": 0.5}
                    listener.ended_epoch(trial, replace(first, **told, step_losses=(0.5,) * 10))
                listener.finished(trial, outcome)
            rate = len(jobs) / (perf_counter() - began)
            print(f"{rate:,.0f} trials recorded a second", file=sys.stderr, flush=True)

    EXECUTORS.add("idle", Idle)
    expanded = expand(load_study(str(study)))
    with Workspace.open(runs) as workspace:
        execute(expanded, workspace, display=Silent(), executor="idle")


class Silent:
    """A display that shows nothing."""

    def __getattr__(self, name: str) -> object:
        return lambda *given: None


def frame(runs: Path) -> None:
    """The results as a frame."""
    from peftlab.store.frame import load_results

    rows = load_results(runs)
    assert (rows["status"] == "done").all()


if __name__ == "__main__":
    main()
