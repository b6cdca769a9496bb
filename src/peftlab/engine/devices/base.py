"""The interface of a device: its name, its own measurements, and how work is laid out on it."""

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
    """A counter of energy; reading it raises OSError or ValueError if that fails.

    `range` is the value at which it wraps around, 0 if it never does.
    """

    count: Callable[[], int]
    per_joule: float
    range: int = 0
    last: int = 0

    def advance(self) -> float:
        """Return the joules since the last call."""
        now = self.count()
        moved, self.last = now - self.last, now
        if moved < 0 and not self.range:
            raise ValueError("the counter was set back")
        return (moved if moved >= 0 else moved + self.range) / self.per_joule


class Device(ABC):
    """A device of this machine, under the name by which it was asked for.

    A subclass defines how its kind differs from the others; no other module asks for the kind of a
    device. The kernels that compute on it are chosen in models/fused/backends.py.
    """

    shares_cores: ClassVar[bool] = False
    """Whether concurrent workers divide its cores among them, each with threads of its own."""
    holds_4bit: ClassVar[bool] = False
    """Whether it can compute with 4-bit weights (methods/quantize.py)."""
    eval_tokens_per_batch: ClassVar[int] = 1024
    """The tokens of a packed batch in evaluation: enough for fast matrix products, and few enough
    for a processor's caches."""
    trainer_precisions: ClassVar[tuple[Precision, ...]] = ()
    """The precisions in which transformers.Trainer is measured beside an engine on it; where there
    are none, in that of the settings."""
    counts_launches: ClassVar[bool] = False
    """Whether PyTorch's profiler counts the kernels that a step starts on it (engine/bench.py)."""
    share_of_peak: ClassVar[float] = 0.5
    """The share of its peak in matrix products that training is first estimated to reach."""
    is_faster_in_bf16: bool = False
    """Whether training with `bf16: true` takes less time on it."""
    seconds_per_layer: float = 0.0
    """The least time of a layer in a step, however few the tokens: its kernels must be launched."""
    peak_size: ClassVar[int] = 1024
    """The number of rows and columns of the matrices with which its peak is measured."""
    tokens_to_fill: int = 0
    """The tokens of a step with which it is busy, so that more trials in it would save no more
    time; 0 where several trials in a step are not known to pay."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def kind(self) -> str:
        """The name without the number: cpu, cuda, ..."""
        return kind_of(self.name)

    @cached_property
    @abstractmethod
    def model_name(self) -> str:
        """The maker's name of the processor or GPU; empty if it is not known."""

    @cached_property
    def torch(self) -> torch.device:
        """The device as a PyTorch object."""
        import torch

        return torch.device(self.name)

    @property
    def memory_bytes(self) -> int | None:
        """The memory that it has of its own; None for one that has none, or does not tell."""
        return None

    @property
    def why_not_bf16(self) -> str | None:
        """The reason, in a few words, why it cannot multiply in bfloat16; None if it can."""
        return None

    @property
    def why_not_tf32(self) -> str | None:
        """The reason, in a few words, why it cannot compute in TF32; None if it can."""
        return "TF32 is a format of NVIDIA's cards"

    def make_ready(self) -> None:
        """Do the work that is needed once on a machine before anything is computed."""
        return None

    def make_ready_for(self, model: str) -> None:
        """Do what is needed once on a machine before a checkpoint of that name is trained."""
        return None

    def remarks(self) -> list[str]:
        """Return what a user should know of how it computes here, a line each."""
        return []

    def current(self) -> AbstractContextManager[None]:
        """Make it the default of the devices of its kind within the block."""
        return nullcontext()

    def synchronize(self) -> None:
        """Wait until the device has done all its work."""
        return None

    def reset_peak_memory(self) -> bool:
        """Reset the peak of memory; return whether that can be done."""
        return False

    @abstractmethod
    def peak_memory_bytes(self) -> int | None:
        """Return the peak memory of this process since the last reset, if there was one."""

    def energy_counters(self) -> list[EnergyCounter]:
        """Return its energy counters; an empty list if it has none that may be read.

        Raises OSError or ValueError if a counter is there but cannot be read.
        """
        return []

    def trainer_arguments(self) -> dict[str, Any]:
        """Return the TrainingArguments that make transformers.Trainer compute on this device."""
        return {}

    def peak_flops_per_second(self, seconds: float = 0.1, precision: Precision = "fp32") -> float:
        """Return the best rate of a square matrix product in that precision, measured now."""
        import torch

        from peftlab.models.precision import multiplying

        size = self.peak_size
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        left, right = (torch.rand(size, size, device=self.torch).to(dtype) for _ in range(2))
        out = torch.empty_like(left)

        def multiply() -> None:
            torch.mm(left, right, out=out)
            self.synchronize()

        with multiplying(precision):
            self.synchronize()
            return 2 * size**3 / best_seconds(multiply, seconds)

    def estimated_peak_flops_per_second(self, precision: Precision = "fp32") -> float:
        """Return an estimate of the same rate, found without PyTorch if possible."""
        return self.peak_flops_per_second(precision=precision)


def best_seconds(work: Callable[[], object], within: float) -> float:
    """Return the shortest time that the work takes, done again and again for `within` seconds."""
    ends, best = perf_counter() + within, float("inf")
    while best == float("inf") or perf_counter() < ends:
        began = perf_counter()
        work()
        best = min(best, perf_counter() - began)
    return best


def kind_of(name: str) -> str:
    """Return the name of a device without its number.

    >>> kind_of("cuda:1"), kind_of("cpu")
    ('cuda', 'cpu')
    """
    return name.partition(":")[0]


def own_generators(device: torch.device) -> list[torch.device]:
    """Return the device if PyTorch keeps a random generator for it, else nothing."""
    return [] if device.type == "cpu" else [device]
