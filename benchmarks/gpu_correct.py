"""The sections of benchmarks.gpu that ask whether a card computes what the processor does."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.gpu_setup import (
    PRECISIONS,
    Told,
    against_cpu,
    gradients_of,
    logits_of,
    relative_error,
    small_trial,
    steps_of,
    tiny_checkpoint,
)


def agreement(given: argparse.Namespace) -> Told:
    """Each part of the Triton back end against plain PyTorch, as is done when a card is first used.

    The kernels are compiled first, which is what takes the time.
    """
    from peftlab.models.cuda import agreement as found

    wrong = found.lacking()
    for name in found.NAMES:
        yield name, wrong.get(name, "agrees")


def twins(given: argparse.Namespace) -> Told:
    """Errors of a step's gradients, of their norm, by kernels and by plain twins; both on the card.

    The plain twins in float32 are what both precisions are held against. "rounded" is the same of
    the plain twins under torch's autocast: kernels in bf16 should be no further off.
    """
    for method in ("full", "lora"):
        exact = gradients_of(given.device, method, kernels="off")
        for name, kernels, bf16 in (
            ("fp32", "triton", False), ("bf16", "triton", True), ("rounded", "off", True),
        ):  # fmt: skip
            found = gradients_of(given.device, method, kernels=kernels, bf16=bf16)
            yield f"{method} {name}", relative_error(found, exact)


def recorded(given: argparse.Namespace) -> Told:
    """Losses and weights of steps as graphs, again, and one operation at a time.

    The differences are those of the largest loss, and of all weights relative to the way moved.
    """
    import torch

    for method in ("full", "lora", "dora"):
        for name, training in PRECISIONS.items():
            start = steps_of(
                given.device, method, {**training, "max_steps": 1, "learning_rate": 0.0}
            )
            played = steps_of(given.device, method, training)
            again = steps_of(given.device, method, training)
            eager = steps_of(given.device, method, training, records=False)
            moved = (played[1] - start[1]).norm()
            pairs = zip(played[0], eager[0], strict=True)
            yield (
                f"{method} {name}",
                {
                    "words": played[2],
                    "same_bits_again": played[0] == again[0] and torch.equal(played[1], again[1]),
                    "loss_difference": max(abs(a - b) for a, b in pairs),
                    "weights_difference": float((played[1] - eager[1]).norm() / moved),
                },
            )


def families(given: argparse.Namespace) -> Told:
    """The largest difference of dev logits, card against CPU, of a tiny model of each family."""
    from peftlab.models.families import FAMILIES

    with tempfile.TemporaryDirectory() as folder:
        for name in FAMILIES.names():
            model = tiny_checkpoint(Path(folder) / name, name)
            yield name, against_cpu(given.device, model=model, method="lora")


def methods(given: argparse.Namespace) -> Told:
    """The same of each method on MiniLM."""
    from peftlab.methods.registry import METHODS

    for name in METHODS.names():
        yield name, against_cpu(given.device, model=given.minilm, method=name)


def resume(given: argparse.Namespace) -> Told:
    """Whether a trial that is run again, or stopped behind an epoch and gone on from, is equal."""
    import numpy as np

    for method in ("lora", "full", "dora"):
        trial = small_trial(model=given.minilm, method=method, rows=64, epochs=3)
        whole = logits_of(trial, given.device)
        again = logits_of(trial, given.device)
        resumed = logits_of(trial, given.device, stop_after=1)
        yield (
            method,
            {
                "again": bool(np.array_equal(whole, again)),
                "resumed": bool(np.array_equal(whole, resumed)),
            },
        )


def memory(given: argparse.Namespace) -> Told:
    """A trial of large batches, in all memory and in too little; the difference of dev logits."""
    import numpy as np
    import torch

    trial = small_trial(model=given.minilm, method="full", rows=512, epochs=1, batch=256)
    whole: dict[str, Any] = {}
    before = logits_of(trial, given.device, told=whole)
    yield "whole", whole
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.6 * whole["peak_memory_bytes"] / total)
    halved: dict[str, Any] = {}
    after = logits_of(trial, given.device, told=halved)
    yield "halved", halved
    yield "difference", float(np.abs(before - after).max())
