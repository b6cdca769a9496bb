"""The time of a training step of the engine `packed` on MiniLM, kernel by kernel.

    python -m benchmarks.step --data path/to/glue --task sst2 --method lora

Each kernel of the recorded steps is called by itself and timed; the rest of a step is the work
around the encoder. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest import mock

from peftlab.core.training import TrainingSettings
from peftlab.core.trial import Seeds, Trial
from peftlab.data.batches import batches, epoch_order
from peftlab.data.glue_folder import GlueFolder
from peftlab.engine.classifier import build_classifier
from peftlab.engine.devices.registry import resolve
from peftlab.engine.memory import keep_freed_memory
from peftlab.engine.prepare import prepare
from peftlab.engine.steps import Steps
from peftlab.methods.registry import METHODS
from peftlab.models.fused import recording
from peftlab.models.fused.launch import ENTRY_POINTS, work_off
from peftlab.models.location import locate
from peftlab.tasks.registry import TASKS

WARM_UP = 10


def main() -> None:
    """Time the kernels of some steps and print them, the longest first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="a GLUE folder")
    parser.add_argument("--task", default="sst2")
    parser.add_argument("--method", default="lora")
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args()
    keep_freed_memory()
    task = TASKS.get(given.task)
    trial = Trial(
        task=given.task,
        data=GlueFolder(Path(given.data)).ref(task),
        model=locate("minilm"),
        method=given.method,
        method_config=METHODS.get(given.method).resolve({}),
        training=TrainingSettings(per_device_train_batch_size=16, learning_rate=1e-4),
        seed=0,
        seeds=Seeds.of(0),
        max_train_samples=2000,
        max_eval_samples=16,
    )
    with tempfile.TemporaryDirectory() as cache:
        device = resolve("cpu")
        prepared = prepare(trial, cache=Path(cache), device=device)
        classifier = build_classifier("packed", prepared.module, prepared.base, device.torch)
        prepared.module.train()
        with Steps.active(classifier, trial, prepared.data) as steps:
            seconds, whole = timed(steps, given.steps)
    for name, spent in sorted(seconds.items(), key=lambda kernel: kernel[1], reverse=True):
        print(f"{1e3 * spent / given.steps:7.2f} ms  {name}")
    left = whole - sum(seconds.values())
    print(f"{1e3 * left / given.steps:7.2f} ms  around the encoder")
    print(f"{1e3 * whole / given.steps:7.2f} ms  a step")


def timed(steps: Steps, count: int) -> tuple[dict[str, float], float]:
    """Return the seconds of each kernel in `count` steps, and of the steps as a whole."""
    names = {entry_point.address: entry_point.name for entry_point in ENTRY_POINTS}
    seconds: defaultdict[str, float] = defaultdict(float)

    def one_by_one(rows: Any, number: int) -> None:
        for i in range(number):
            began = perf_counter()
            work_off(rows[i : i + 1], 1)
            seconds[names[rows[i, 0]]] += perf_counter() - began

    order = epoch_order(len(steps.data.train), seed=0, epoch=1)
    rows = batches(order, steps.trial.training.examples_per_step)
    with mock.patch.object(recording, "work_off", one_by_one):
        for batch in islice(rows, WARM_UP):
            steps.take(batch)
        seconds.clear()
        began = perf_counter()
        for batch in islice(rows, count):
            steps.take(batch)
        return seconds, perf_counter() - began


if __name__ == "__main__":
    main()
