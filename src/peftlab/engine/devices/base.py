"""The interface of a device: its name, what it measures of itself, and how work is laid out on
it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar

from peftlab.core.training import Precision

if TYPE_CHECKING:
    import torch


@dataclass
class EnergyCounter:
    """A count of energy; OSError or ValueError where it cannot be read.

    `range` is where it begins anew, 0 for one that never does.
    """

    count: Callable[[], int]
    per_joule: float
    range: int = 0
    last: int = 0

    def advance(self) -> float:
        """Return the joules since the last time."""
        now = self.count()
        moved, self.last = now - self.last, now
        if moved < 0 and not self.range:
            raise ValueError("the counter was set back")
        return (moved if moved >= 0 else moved + self.range) / self.per_joule


class Device(ABC):
    """A device that is here, under the name by which it was asked for.

    A subclass says how its kind differs from others; no other module asks which kind it has
    before it. Which kernels compute on it is decided where they are (models/fused/backends.py).
    """

    shares_cores: ClassVar[bool] = False
    """Whether several workers at a time divide its cores among them, each with its threads."""
    holds_4bit: ClassVar[bool] = False
    """Whether weights in 4 bits (methods/quantize.py) are computed with on it."""
    share_of_peak: ClassVar[float] = 0.5
    """The part of its peak in matrix products that a training reaches, for a first estimate."""
    is_faster_in_bf16: bool = False
    """Whether a training with `bf16: true` takes less time on it."""
    seconds_per_layer: float = 0.0
    """The time that a layer takes of a step however few its tokens are: kernels are started."""
    peak_size: ClassVar[int] = 1024
    """The rows and columns of the matrices by which its peak is measured."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def kind(self) -> str:
        """The name without the number: cpu, cuda, ..."""
        return self.name.partition(":")[0]

    @cached_property
    @abstractmethod
    def model_name(self) -> str:
        """The name that its maker gave the processor or card; empty where it is not told."""

    @cached_property
    def torch(self) -> torch.device:
        """The device as PyTorch has it."""
        import torch

        return torch.device(self.name)

    @property
    def why_not_bf16(self) -> str | None:
        """None if it computes matrix products of bfloat16, else the reason in a few words."""
        return None

    @property
    def why_not_tf32(self) -> str | None:
        """None if it has matrix units for TF32, else the reason in a few words."""
        return "TF32 is a format of NVIDIA's cards"

    def make_ready(self) -> None:
        """Do what is needed once on a machine before anything is computed."""
        return None

    def make_ready_for(self, model: str) -> None:
        """Do what is needed once on a machine before a checkpoint of that name is trained."""
        return None

    def remarks(self) -> list[str]:
        """Return what a user should know of how it computes here, a line each."""
        return []

    def current(self) -> AbstractContextManager[None]:
        """Have it be the one, of several of its kind, that is meant where none is named."""
        return nullcontext()

    def synchronize(self) -> None:
        """Wait until all that was asked of the device is done."""
        return None

    def reset_peak_memory(self) -> bool:
        """Forget the peak of memory so far; return whether that can be done."""
        return False

    @abstractmethod
    def peak_memory_bytes(self) -> int | None:
        """Return the highest memory of this process, since the last reset where there was one."""

    def energy_counters(self) -> list[EnergyCounter]:
        """Return the counters of its energy, none where it has none that may be read.

        Raises OSError or ValueError for one that is there and cannot be read.
        """
        return []

    def trainer_arguments(self) -> dict[str, Any]:
        """Return what TrainingArguments are told so that transformers.Trainer computes on it."""
        return {}

    def peak_flops_per_second(self, seconds: float = 0.1, precision: Precision = "fp32") -> float:
        """Return the best that a square matrix product of that precision reaches, measured now."""
        import torch

        from peftlab.models.precision import multiplying

        size = self.peak_size
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        left, right = (torch.rand(size, size, device=self.torch).to(dtype) for _ in range(2))
        out, best = torch.empty_like(left), float("inf")
        with multiplying(precision):
            ends = perf_counter() + seconds
            while best == float("inf") or perf_counter() < ends:
                self.synchronize()
                began = perf_counter()
                torch.mm(left, right, out=out)
                self.synchronize()
                best = min(best, perf_counter() - began)
        return 2 * size**3 / best

    def estimated_peak_flops_per_second(self, precision: Precision = "fp32") -> float:
        """Return about the same, for an estimate, where that can be had without PyTorch."""
        return self.peak_flops_per_second(precision=precision)


def own_generators(device: torch.device) -> list[torch.device]:
    """Return the device if PyTorch keeps a generator for it beside the processor's, else none."""
    return [] if device.type == "cpu" else [device]
