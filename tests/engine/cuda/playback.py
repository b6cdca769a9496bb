"""A stand-in for CUDA graphs on the processor: what a program did is noted, then done again.

As in a graph, nothing of the program's Python runs again: operations of torch and Triton kernels
are called with the arguments that they were called with, and write to the tensors that they wrote
to. A number of the host that has entered the program therefore stays as it was. A program that
waits for the device, which a graph cannot hold, is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

Program = Callable[[], None]
WAITS = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)


class Playback:
    """Captures programs; `num_played` counts how often one was played by what was noted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from triton.runtime.interpreter import InterpretedFunction

        self.num_played = 0
        self._noting: _Noting | None = None
        launch = InterpretedFunction.run

        def run(kernel: Any, *args: Any, **keywords: Any) -> None:
            with _disable_current_modes():
                launch(kernel, *args, **keywords)
            if self._noting is not None:
                self._noting.notes.append(lambda: launch(kernel, *args, **keywords))

        monkeypatch.setattr(InterpretedFunction, "run", run)

    def capture(self, prepare: Program, program: Program) -> Program:
        """Return what runs the program the first time, and then does again what that did."""
        prepare()
        notes: list[Program] = []

        def play() -> None:
            if notes:
                self.num_played += 1
                with torch.no_grad():
                    for note in notes:
                        note()
                return
            self._noting = _Noting(notes)
            try:
                with self._noting:
                    program()
            finally:
                self._noting = None

        return play


class _Noting(TorchDispatchMode):
    """Notes every operation of torch."""

    def __init__(self, notes: list[Program]) -> None:
        super().__init__()
        self.notes = notes

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if operation in WAITS:
            raise RuntimeError(f"{operation} waits for the device")
        kwargs = kwargs or {}
        found = operation(*args, **kwargs)

        def again() -> None:
            for out, new in zip(
                tree_leaves(found), tree_leaves(operation(*args, **kwargs)), strict=True
            ):
                if isinstance(out, Tensor) and out.data_ptr() != new.data_ptr():
                    out.copy_(new)

        self.notes.append(again)
        return found
