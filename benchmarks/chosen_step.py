"""What the choice of kernels for products gains in a training step, and what bf16 does.

    python -m benchmarks.chosen_step --data path/to/glue --rounds 5

trains MiniLM by the engine `packed` in turn: with our own kernel for all products, with MKL's where
they are faster (models/fused/choices.py), and with the latter in bf16. It prints the examples
a second of each, and how many times as fast as the first the others are: medians, min and max of
the rounds. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from peftlab.core.training import TrainingSettings
from peftlab.core.trial import Seeds, Trial
from peftlab.data.glue_folder import GlueFolder
from peftlab.engine.rate import RateMeter
from peftlab.methods.registry import METHODS
from peftlab.models.fused.choices import CHOICE, Choices, using
from peftlab.models.fused.product_kernels import OWN
from peftlab.models.location import locate
from peftlab.store.provenance import processor_name
from peftlab.tasks.registry import TASKS

SIDES = {"own": (OWN, False), "chosen": ("", False), "chosen, bf16": ("", True)}
"""The sides: the kernel asked for, and whether factors are rounded."""


def main() -> None:
    """Print a line for each method and task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="a GLUE folder")
    parser.add_argument("--tasks", nargs="+", default=["sst2", "cola", "mrpc"])
    parser.add_argument("--methods", nargs="+", default=["lora", "full"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    import torch

    print(f"{processor_name()}, {torch.get_num_threads()} threads")
    print("| cell | own, examples/s | chosen | bf16 | products by MKL: float32; bf16 |")
    print("| --- | --: | --: | --: | --- |")
    for method in given.methods:
        for task in given.tasks:
            _print(f"minilm, {method}, {task}", method, task, given)


def _print(cell: str, method: str, task: str, given: argparse.Namespace) -> None:
    choices = {name: Choices() for name in SIDES}
    rates: dict[str, list[float]] = {name: [] for name in SIDES}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        meters = {
            name: RateMeter(
                _trial(method, task, given.data, bf16=rounds), cache=Path(folder), device="cpu"
            )
            for name, (_, rounds) in SIDES.items()
        }
        stack.callback(os.environ.pop, CHOICE, None)
        for number in range(given.rounds + 1):
            for name, (kernel, _) in SIDES.items():
                os.environ[CHOICE] = kernel
                with using(choices[name]):
                    rate = meters[name].measure(given.seconds if number else 1.0)
                if number:  # the first round chooses and warms up
                    rates[name].append(rate)
    gains = [_gain(rates[name], rates["own"]) for name in ("chosen", "chosen, bf16")]
    words = "; ".join(choices[name].words or "none" for name in ("chosen", "chosen, bf16"))
    print(f"| {cell} | {median(rates['own']):.0f} |", *(f"{gain} |" for gain in gains), words, "|")


def _gain(rates: list[float], base: list[float]) -> str:
    ratios = [one / other for one, other in zip(rates, base, strict=True)]
    return f"{median(ratios):.2f} ({min(ratios):.2f}, {max(ratios):.2f})"


def _trial(method: str, task: str, data: str, *, bf16: bool) -> Trial:
    return Trial(
        task=task,
        data=GlueFolder(Path(data)).ref(TASKS.get(task)),
        model=locate("minilm"),
        method=method,
        method_config=METHODS.get(method).resolve({}),
        training=TrainingSettings(
            per_device_train_batch_size=16, learning_rate=1e-4, max_steps=10**6, bf16=bf16
        ),
        seed=0,
        seeds=Seeds.of(0),
        max_train_samples=2000,
        max_eval_samples=16,
    )


if __name__ == "__main__":
    main()
