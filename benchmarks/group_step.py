"""A step of several trials at once against a step of each, on the processor, in one process.

    python -m benchmarks.group_step --data path/to/glue --members 8

Trials differ by their seeds, train MiniLM on rows of SST-2 in batches of 16, and take both kinds of
steps in turn. The times are the processor's own, with one thread.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from time import process_time

import torch

from peftlab.core.training import TrainingSettings
from peftlab.core.trial import Seeds, Trial
from peftlab.data.batches import Indices, batches, epoch_order
from peftlab.data.glue_folder import GlueFolder
from peftlab.engine.classifier import build_classifier
from peftlab.engine.devices.registry import resolve
from peftlab.engine.group import backward_together
from peftlab.engine.memory import keep_freed_memory
from peftlab.engine.prepare import prepare
from peftlab.engine.steps import Steps
from peftlab.methods.registry import METHODS
from peftlab.models.location import locate
from peftlab.models.shared_weights import SharedWeights, frozen
from peftlab.tasks.registry import TASKS

BATCH, ROWS, WARM_UP, STEPS, TURNS = 16, 2_000, 2, 3, 3


def main() -> None:
    """Print the time of a step of one trial, alone and in a group, for each method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="a GLUE folder")
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--method", nargs="+", default=["lora", "bitfit", "houlsby"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    for method in given.method:
        alone, together = times(method, Path(given.data), given.members)
        print(
            f"{method}: {alone:.1f} ms alone, {together:.1f} ms in a group of {given.members}, "
            f"{together / alone:.2f} times as long",
            flush=True,
        )


def times(method: str, data: Path, members: int) -> tuple[float, float]:
    """Return the milliseconds of a trial's step alone and in a group: the least of some turns."""
    weights = SharedWeights()
    with ExitStack() as stack, tempfile.TemporaryDirectory() as cache:
        every: list[tuple[Steps, Iterator[Indices]]] = []
        for seed in range(members):
            steps = opened(stack, trial_of(method, data, seed), Path(cache))
            weights.share(frozen(steps.classifier.module))
            order = epoch_order(len(steps.data.train), seed=seed, epoch=1)
            every.append((steps, cycle(batches(order, BATCH))))

        def alone() -> None:
            for steps, rows in every:
                steps.take(next(rows))

        def together() -> None:
            losses = backward_together([(steps, next(rows)) for steps, rows in every])
            for (steps, _), loss in zip(every, losses, strict=True):
                steps.take_with(loss)

        found: dict[Callable[[], None], list[float]] = {alone: [], together: []}
        for _ in range(TURNS):
            for take, milliseconds in found.items():
                for _ in range(WARM_UP):
                    take()
                began = process_time()
                for _ in range(STEPS):
                    take()
                milliseconds.append(1e3 * (process_time() - began) / STEPS / members)
        return min(found[alone]), min(found[together])


def trial_of(method: str, data: Path, seed: int) -> Trial:
    """Return a trial with the method's own settings."""
    return Trial(
        task="sst2",
        data=GlueFolder(data).ref(TASKS.get("sst2")),
        model=locate("minilm"),
        method=method,
        method_config=METHODS.get(method).resolve({}),
        training=TrainingSettings(per_device_train_batch_size=BATCH, learning_rate=1e-4),
        seed=seed,
        seeds=Seeds.of(seed),
        max_train_samples=ROWS,
        max_eval_samples=BATCH,
    )


def opened(stack: ExitStack, trial: Trial, cache: Path) -> Steps:
    """Return the trial's steps, ready to be taken until the stack is closed."""
    prepared = prepare(trial, cache=cache, device=resolve("cpu"))
    classifier = build_classifier(
        "packed",
        prepared.module,
        prepared.base,
        torch.device("cpu"),
        dropout_seed=trial.seeds.dropout,
        method=prepared.method,
    )
    steps = stack.enter_context(Steps.active(classifier, trial, prepared.data))
    prepared.module.train()
    return steps


if __name__ == "__main__":
    main()
