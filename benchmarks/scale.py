"""The cost of planning, recording and reading a study of very many trials that train nothing.

    python -m benchmarks.scale --output scale

Each line shows the seconds and the peak memory of a process of its own, including start-up and
imports. The trials are real except for their training: an executor sends the events of an engine at
once.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest import mock

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
RAY_SEEDS = 60
STAGES = ("plan", "record", "frame", "ray")


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
    elif given.stage == "plan":
        plan(study, runs)
    elif given.stage == "ray":
        ray(given.output / "ray.yaml", given.output / "ray-runs", given.epochs)
    elif given.stage == "frame":
        frame(runs)
    elif given.stage is None:
        given.output.mkdir(parents=True)
        seeds = [*range(math.ceil(given.trials / TRIALS_A_SEED))]
        study.write_text(STUDY.format(seeds=seeds))
        (given.output / "ray.yaml").write_text(STUDY.format(seeds=seeds[:RAY_SEEDS]))
        print(f"{len(seeds) * TRIALS_A_SEED:,} trials")
        own = [__file__, "--output", str(given.output), "--epochs", str(given.epochs), "--stage"]
        workspace = ["--workspace", str(runs)]
        measured("plan", [*own, "plan"])
        measured("record", [*own, "record"])
        measured("status", ["-m", "peftlab", "status", "scale", *workspace])
        measured("frame", [*own, "frame"])
        measured("report", ["-m", "peftlab", "report", "scale", *workspace])
        measured("resume", ["-m", "peftlab", "run", str(study), *workspace])
        measured("ray", [*own, "ray"])


def measured(name: str, command: Sequence[str]) -> None:
    """Run Python with these arguments, and print its time and memory."""
    began = perf_counter()
    is_own = command[0] == __file__
    with Path(os.devnull).open("w") as nowhere:
        child = subprocess.Popen([sys.executable, *command], stdout=None if is_own else nowhere)
        _, status, usage = os.wait4(child.pid, 0)
    seconds = perf_counter() - began
    if status:
        raise SystemExit(f"{name} ended with status {os.waitstatus_to_exitcode(status)}")
    cpu = usage.ru_utime + usage.ru_stime
    print(
        f"{name}: {seconds:.2f} s ({cpu:.2f} s of a core), {usage.ru_maxrss / 1024:,.0f} MB",
        flush=True,
    )


def plan(study: Path, runs: Path) -> None:
    """Plan all trials."""
    from peftlab.runner.plan import make_plan
    from peftlab.store.workspace import Workspace
    from peftlab.study.load import load_study
    from peftlab.study.trials import expand

    spec = load_study(str(study))
    expand(spec.model_copy(update={"seeds": spec.seeds[:1]}))  # what is imported by the way
    began = perf_counter()
    expanded = expand(spec)
    with Workspace.open(runs) as workspace:
        make_plan(expanded, workspace)
    print(f"planned in {perf_counter() - began:.2f} s, once everything is imported", flush=True)


def record(study: Path, runs: Path, num_epochs: int) -> None:
    """Run all trials through `execute` with an executor that trains nothing."""
    from peftlab.engine.events import Listener, Started
    from peftlab.runner.executors.base import ExecutorOptions, JobSource
    from peftlab.runner.executors.registry import EXECUTORS, ExecutorEntry

    class Idle:
        """An executor that reports every trial as done."""

        def __init__(self, options: ExecutorOptions) -> None:
            self._options = options

        def run(self, source: JobSource, tell: Listener) -> None:
            began = perf_counter()
            for job in source.known:
                for trial in job.trials:
                    tell(Started(trial=trial))
                    for event in told(trial.id, num_epochs):
                        tell(event)
            rate = len(source.known) / (perf_counter() - began)
            print(f"recorded: {rate:,.0f} trials a second", flush=True)

    EXECUTORS.add("idle", ExecutorEntry(words="nowhere", load=lambda: Idle))
    run(study, runs, "idle")


def ray(study: Path, runs: Path, num_epochs: int) -> None:
    """Run all trials as tasks of a Ray cluster on this machine that report the same and end."""
    from peftlab.runner.executors import ray_cluster

    def idle(job: str, url: str | None) -> Iterator[str]:
        from peftlab.engine.job import Job
        from peftlab.runner.messages import Done, Placed, to_line

        yield to_line(Placed(node="", pid=0))
        for trial in Job.model_validate_json(job).trials:
            for event in told(trial.id, num_epochs):
                yield to_line(event)
        yield to_line(Done())

    began = perf_counter()
    with mock.patch.object(ray_cluster, "run_told", idle):
        num_trials = run(study, runs, "ray")
    rate = num_trials / (perf_counter() - began)
    print(f"by ray: {rate:,.0f} trials, {rate * (5 + num_epochs):,.0f} messages a second")


def told(trial_id: str, num_epochs: int) -> Iterator[Any]:
    """Yield the events of a worker about a trial, from its beginning to its end."""
    from peftlab.core.measurements import Costs, Evaluation, ParameterCount
    from peftlab.engine.events import Began, Evaluated, Finished
    from peftlab.tasks.registry import TASKS

    scores = {TASKS.get(name).main_metric: 50.0 for name in TASKS.names()}
    first = Evaluation(epoch=0, step=0, train_loss=None, eval_loss=0.7, scores=scores, seconds=0.0)
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
    yield Began(trial_id=trial_id, total_steps=10 * num_epochs, steps_per_epoch=10)
    yield Evaluated(trial_id=trial_id, evaluation=first)
    for epoch in range(1, num_epochs + 1):
        record = replace(first, epoch=epoch, step=10 * epoch, step_losses=(0.5,) * 10)
        yield Evaluated(trial_id=trial_id, evaluation=record)
    yield Finished(trial_id=trial_id, costs=costs, num_train_examples=16, num_eval_examples=16)


def run(study: Path, runs: Path, executor: str) -> int:
    """Run the study, and return its number of trials."""
    from peftlab.engine.events import ignore
    from peftlab.runner.execute import Execution, execute
    from peftlab.store.workspace import Workspace
    from peftlab.study.load import load_study
    from peftlab.study.trials import expand

    expanded = expand(load_study(str(study)))
    with Workspace.open(runs) as workspace:
        execute(expanded, workspace, display=ignore, execution=Execution.of(executor))
    return len(expanded.trials)


def frame(runs: Path) -> None:
    """Read the results as a frame."""
    from peftlab import load_results

    rows = load_results(runs)
    assert (rows["status"] == "done").all()


if __name__ == "__main__":
    main()
