"""The matrix products of an encoder layer: this package's kernel against torch.mm, in turn.

    python -m benchmarks.products --rounds 9

Shapes are those of MiniLM and BERT-base for the tokens of a packed batch. Each call takes another
layer's weights, as in training, and makes its output anew. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
from time import perf_counter

import peftlab.models  # noqa: F401  loads the OpenMP runtime before torch

import torch  # isort: skip
from torch import Tensor  # isort: skip

from peftlab.engine.memory import keep_freed_memory
from peftlab.models.fused.products import linear, matmul

SHAPES = [
    ("MiniLM query, key, value", 384, 1152),
    ("MiniLM attention output", 384, 384),
    ("MiniLM up", 384, 1536),
    ("MiniLM down", 1536, 384),
    ("BERT-base up", 768, 3072),
    ("BERT-base down", 3072, 768),
]
LAYERS = 12
Product = Callable[[Tensor, Tensor, Tensor], Tensor]
PRODUCTS: dict[str, tuple[Product, Product]] = {
    "forward": (lambda x, w, dy: linear(x, w), lambda x, w, dy: torch.mm(x, w.T)),
    "to the input": (lambda x, w, dy: matmul(dy, w), lambda x, w, dy: torch.mm(dy, w)),
    "to the weights": (lambda x, w, dy: matmul(dy.T, x), lambda x, w, dy: torch.mm(dy.T, x)),
}


def main() -> None:
    """Print a line for each shape and product."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tokens", type=int, nargs="+", default=[16, 212, 856])
    given = parser.parse_args()
    keep_freed_memory()
    print(f"{torch.get_num_threads()} threads; GFLOP/s, medians of {given.rounds} rounds in turn")
    for tokens in given.tokens:
        for name, depth, width in SHAPES:
            x, dy = torch.randn(tokens, depth), torch.randn(tokens, width)
            weights = [torch.randn(width, depth) for _ in range(LAYERS)]
            work = 2e-9 * tokens * depth * width * LAYERS
            for product, sides in PRODUCTS.items():
                seconds: tuple[list[float], list[float]] = ([], [])
                for _ in range(given.rounds):
                    for side, compute in enumerate(sides):
                        began = perf_counter()
                        for weight in weights:
                            compute(x, weight, dy)
                        seconds[side].append(perf_counter() - began)
                ratio = median(peer / ours for ours, peer in zip(*seconds, strict=True))
                ours, peer = (work / median(times) for times in seconds)
                print(
                    f"{tokens:4} tokens, {name}, {product}: {ours:.0f}, torch.mm {peer:.0f}, "
                    f"{ratio:.2f}x"
                )


if __name__ == "__main__":
    main()
