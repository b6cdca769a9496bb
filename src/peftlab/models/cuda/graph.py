"""A program captured as a CUDA graph: all of its kernels are started by one call.

Graphs share their memory: what one leaves there between its kernels is not read after it. What is
to be kept has to be written to tensors that were made before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch


def capture(prepare: Callable[[], None], program: Callable[[], None]) -> Callable[[], None]:
    """Return what plays the program again; it is captured, not run, after `prepare` was run.

    Raises torch.OutOfMemoryError where memory is short.
    """
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        prepare()
    torch.cuda.current_stream().wait_stream(aside)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=_pool(torch.cuda.current_device())):
        program()
    replay: Callable[[], None] = graph.replay
    return replay


@cache
def _pool(device: int) -> Any:
    """Return the memory that the graphs of a card share."""
    return torch.cuda.graph_pool_handle()
