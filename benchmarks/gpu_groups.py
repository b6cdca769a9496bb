"""The section of benchmarks.gpu that asks what several trials in one step gain."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from copy import deepcopy
from itertools import cycle
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.gpu_setup import Told

MIXED = ("lora", "rslora", "bitfit", "ia3", "ln-tuning", "head", "houlsby", "pfeiffer")
GROUPS: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("sst2", ("lora",), 1),
    ("sst2", ("lora",), 8),
    ("sst2", ("lora",), 32),
    ("sst2", MIXED, 24),
    ("cola", ("lora",), 32),
    ("mrpc", ("lora",), 8),
    ("sst2", ("lora",), 64),
)
"""Task, methods in turn, and members, the most telling first."""
BATCH, WARM_UP, STEPS = 16, 30, 60
"""The warm-up meets all numbers of tokens that steps are filled up to."""


def groups(given: argparse.Namespace) -> Told:
    """Trial-steps a second of groups with the shapes of bert-base in bf16, and their memory."""
    for task, methods, members in GROUPS:
        yield f"{members} {' '.join(methods)} {task}", measured(given, task, methods, members)


def measured(
    given: argparse.Namespace, task: str, methods: Sequence[str], members: int
) -> dict[str, Any]:
    """Return what a group of so many members takes; of one member, its own recorded steps."""
    import torch
    from transformers.models.bert import BertConfig, BertForSequenceClassification

    from peftlab.engine.devices.registry import resolve
    from peftlab.models.shared_weights import SharedWeights, frozen

    device = resolve(given.device)
    torch.manual_seed(0)
    base = BertForSequenceClassification(BertConfig()).to(device.torch)
    device.reset_peak_memory()
    before = device.peak_memory_bytes() or 0
    weights = SharedWeights()
    with ExitStack() as stack:
        every = []
        for seed in range(members):
            method = methods[seed % len(methods)]
            steps, rows = opened(stack, deepcopy(base), method, task, seed, given, device)
            weights.share(frozen(steps.classifier.module))
            every.append((steps, rows))
        take, words = taker(every)
        for _ in range(WARM_UP):
            take()
        device.synchronize()
        began = perf_counter()
        for _ in range(STEPS):
            take()
        device.synchronize()
        seconds = (perf_counter() - began) / STEPS
        tokens = sum(float(steps.data.train.lengths.mean()) for steps, _ in every) * BATCH
        return {
            "words": words,
            "ms_a_step": 1e3 * seconds,
            "trial_steps_a_second": members / seconds,
            "tokens_a_second": tokens / seconds,
            "memory_beside_base_bytes": (device.peak_memory_bytes() or 0) - before,
        }


def opened(
    stack: ExitStack, base: Any, method: str, task: str, seed: int, given: Any, device: Any
) -> tuple[Any, Iterator[Any]]:
    """Return the steps of a member, and the rows of its batches."""
    from peftlab.core.training import TrainingSettings
    from peftlab.core.trial import Seeds, Trial
    from peftlab.data.batches import batches, epoch_order
    from peftlab.data.glue_folder import GlueFolder
    from peftlab.engine.classifier import build_classifier
    from peftlab.engine.dataset import load_data
    from peftlab.engine.steps import Steps
    from peftlab.methods.registry import METHODS
    from peftlab.models.checkpoints import load_tokenizer
    from peftlab.models.location import locate
    from peftlab.tasks.registry import TASKS

    tokenizer, chosen = locate(given.minilm), METHODS.get(method)
    trial = Trial(
        task=task,
        data=GlueFolder(Path(given.data)).ref(TASKS.get(task)),
        model=tokenizer,
        method=method,
        method_config=chosen.resolve({}),
        training=TrainingSettings(
            per_device_train_batch_size=BATCH, learning_rate=1e-4, max_steps=10**6,
            bf16=device.kind == "cuda",
        ),
        seed=seed,
        seeds=Seeds.of(seed),
    )  # fmt: skip
    data = load_data(trial, load_tokenizer(tokenizer.name), given.output / "cache")
    module = chosen.apply(base, trial.method_config, seed=seed).to(device.torch).train()
    classifier = build_classifier(
        "packed", module, base, device.torch, dropout_seed=seed, method=chosen,
        training=trial.training,
    )  # fmt: skip
    steps = stack.enter_context(Steps.active(classifier, trial, data))
    order = epoch_order(len(data.train), seed=seed, epoch=1)
    full = [rows for rows in batches(order, BATCH) if len(rows) == BATCH]
    return steps, cycle(full)


def taker(every: Sequence[tuple[Any, Iterator[Any]]]) -> tuple[Callable[[], None], str]:
    """Return what takes a step of all members, and the words for how."""
    from peftlab.engine.group import backward_together
    from peftlab.engine.recorded_group import RecordedGroup
    from peftlab.models.fused.backends import backend_of

    recorded = [steps.recorded for steps, _ in every]
    backend = backend_of(every[0][0].parameters[0])

    def eager() -> None:
        losses = backward_together([(steps, next(rows)) for steps, rows in every])
        for (steps, _), loss in zip(every, losses, strict=True):
            steps.take_with(loss)

    if None in recorded or backend is None or backend.capture is None:
        return eager, "not recorded"
    group = RecordedGroup([one for one in recorded if one is not None], backend.capture)

    def played() -> None:
        for steps, _ in every:
            steps.begin()
        group.take(
            [next(rows) for _, rows in every],
            steps=[steps.taken for steps, _ in every],
            micro_batch=BATCH,
        )
        for steps, _ in every:
            steps.count()

    return played, "recorded steps"
