"""The matrix products of an encoder layer: this package's kernels against torch.mm, in turn.

    python -m benchmarks.products --rounds 9
    python -m benchmarks.products --rounds 9 --bf16

Shapes are those of MiniLM and BERT-base for the tokens of a packed batch. Each call takes another
layer's weights, as in training, and makes its output anew. In bf16 weights are rounded before, as
frozen ones are, and all else in each call. The last column is what a run here would choose. Nothing
else should run meanwhile.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import peftlab.models  # noqa: F401  loads the OpenMP runtime before torch

import torch  # isort: skip
from torch import Tensor  # isort: skip

from peftlab.engine.memory import keep_freed_memory
from peftlab.models.fused.choices import CHOICE, Choices, available, using
from peftlab.models.fused.product_kernels import Shape
from peftlab.models.fused.products import Fixed, linear, matmul

SHAPES = [
    ("MiniLM query, key, value", 384, 1152),
    ("MiniLM attention output", 384, 384),
    ("MiniLM up", 384, 1536),
    ("MiniLM down", 1536, 384),
    ("BERT-base up", 768, 3072),
    ("BERT-base down", 3072, 768),
]
LAYERS = 12
TORCH = "torch.mm"
Product = Callable[[Tensor, Any, Tensor], Tensor]
OURS: dict[str, Product] = {
    "forward": lambda x, w, dy: linear(x, w),
    "to the input": lambda x, w, dy: matmul(dy, w),
    "to the weights": lambda x, w, dy: matmul(dy.T, x),
}
TORCHS: dict[str, Product] = {
    "forward": lambda x, w, dy: torch.mm(x, w.T),
    "to the input": lambda x, w, dy: torch.mm(dy, w),
    "to the weights": lambda x, w, dy: torch.mm(dy.T, x),
}


def main() -> None:
    """Print a line for each shape and product."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tokens", type=int, nargs="+", default=[16, 212, 856])
    parser.add_argument("--bf16", action="store_true")
    given = parser.parse_args()
    keep_freed_memory()
    sides = [*available(), TORCH]
    print(f"{torch.get_num_threads()} threads; GFLOP/s, medians of {given.rounds} rounds in turn")
    print("| tokens | product |", *(f"{side} |" for side in sides), "chosen |")
    print("| --: | --- |", *("--: |" for _ in sides), "--- |")
    for tokens in given.tokens:
        for name, depth, width in SHAPES:
            x, dy = torch.randn(tokens, depth), torch.randn(tokens, width)
            weights = [torch.randn(width, depth) for _ in range(LAYERS)]
            work = 2e-9 * tokens * depth * width * LAYERS
            for layout in OURS:
                with torch.autocast("cpu", torch.bfloat16, enabled=given.bf16):
                    seconds = timed(layout, x, weights, dy, given.rounds)
                    chosen = chosen_for(layout, x, weights[0], dy, is_rounded=given.bf16)
                rates = (f"{work / seconds[side]:.0f} |" for side in sides)
                print(f"| {tokens} | {name}, {layout} |", *rates, f"{chosen} |", flush=True)


def timed(
    layout: str, x: Tensor, weights: list[Tensor], dy: Tensor, rounds: int
) -> dict[str, float]:
    """Return the median seconds of all layers' products by each side."""
    dtype = torch.bfloat16 if torch.is_autocast_enabled("cpu") else torch.float32
    factors: dict[str, list[Any]] = {TORCH: [weight.to(dtype) for weight in weights]}
    factors |= {side: [Fixed(weight) for weight in weights] for side in available()}
    seconds: dict[str, list[float]] = {side: [] for side in factors}
    for _ in range(rounds + 1):
        for side, taken in seconds.items():
            compute = (TORCHS if side == TORCH else OURS)[layout]
            os.environ[CHOICE] = "" if side == TORCH else side
            with using(Choices()):
                began = perf_counter()
                for weight in factors[side]:
                    compute(x, weight, dy)
                taken.append(perf_counter() - began)
    os.environ.pop(CHOICE)
    return {side: median(taken[1:]) for side, taken in seconds.items()}


def chosen_for(layout: str, x: Tensor, weight: Tensor, dy: Tensor, *, is_rounded: bool) -> str:
    """Return the kernel that a run on this machine takes for the product."""
    factors = {"forward": (x, weight.T), "to the input": (dy, weight), "to the weights": (dy.T, x)}
    return Choices().of(Shape.of(*factors[layout], is_rounded=is_rounded))


if __name__ == "__main__":
    main()
