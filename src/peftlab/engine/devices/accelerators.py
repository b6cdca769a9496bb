"""Devices beside the processor that PyTorch computes on: NVIDIA's cards, and others it knows."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from peftlab.core.errors import UserError
from peftlab.engine.devices.base import Device, EnergyCounter
from peftlab.engine.devices.processor import reset_resident_peak, resident_peak_bytes

FIRST_OF_AMPERE = (8, 0)
"""The compute capability of the first cards whose matrix units take bfloat16 and TF32."""


class Accelerator(Device):
    """A device of which nothing is known but that PyTorch computes on it.

    Its memory is told by that of the process.
    """

    seconds_per_layer: ClassVar[float] = 0.005
    """The time of starting a layer's kernels on a card (benchmarks/gpu.py, section steps)."""
    peak_size: ClassVar[int] = 4096

    @cached_property
    def model_name(self) -> str:
        """The empty string: PyTorch has no common way to ask."""
        return ""

    def synchronize(self) -> None:
        """Wait for the device."""
        import torch

        torch.accelerator.synchronize(self.torch)

    def reset_peak_memory(self) -> bool:
        """Set the process's mark back."""
        return reset_resident_peak()

    def peak_memory_bytes(self) -> int | None:
        """Return the highest resident memory of the process."""
        return resident_peak_bytes()


class Cuda(Accelerator):
    """An NVIDIA card. Its energy is that of the whole board, by the package nvidia-ml-py."""

    holds_4bit: ClassVar[bool] = True
    peak_size: ClassVar[int] = 8192
    tokens_to_fill: ClassVar[int] = 7_000
    """Taken from a prototype of grouped steps on an H200, with bert-base: 32 trials with batches of
    213 tokens gained little from more, nor did 8 with 850. Not measured with these kernels, nor on
    smaller cards, which are full sooner."""

    @cached_property
    def model_name(self) -> str:
        """The card's name."""
        import torch

        return torch.cuda.get_device_name(self.torch)

    @cached_property
    def memory_bytes(self) -> int:
        """The memory of the card."""
        import torch

        return int(torch.cuda.get_device_properties(self.torch).total_memory)

    @cached_property
    def why_not_bf16(self) -> str | None:
        """None from Ampere on."""
        import torch

        if torch.cuda.get_device_capability(self.torch) >= FIRST_OF_AMPERE:
            return None
        return "its matrix units are older than Ampere's"

    @property
    def why_not_tf32(self) -> str | None:
        """None from Ampere on."""
        return self.why_not_bf16

    def make_ready(self) -> None:
        """Raise UserError where kernels are asked for that are not installed."""
        from peftlab.models.fused import backends
        from peftlab.models.fused.jit import OFF

        if backends.is_triton_asked_for() and not backends.HAS_TRITON:
            raise UserError(
                "Triton is not installed, whose kernels are asked for",
                where=f"{OFF}={backends.ASKED_FOR}",
                allowed="pip install 'peftlab[gpu]', or without it PyTorch's own kernels",
            )

    def synchronize(self) -> None:
        """Wait for the card."""
        import torch

        torch.cuda.synchronize(self.torch)

    def reset_peak_memory(self) -> bool:
        """Have PyTorch's allocator forget its peak."""
        import torch

        torch.cuda.reset_peak_memory_stats(self.torch)
        return True

    def peak_memory_bytes(self) -> int | None:
        """Return the most that was allocated at a time."""
        import torch

        return int(torch.cuda.max_memory_allocated(self.torch))

    def energy_counters(self) -> list[EnergyCounter]:
        """Return the board's counter since its driver was loaded."""
        try:
            import pynvml
        except ImportError:
            return []
        import torch

        # By its UUID: the numbers that torch gives cards are not those of the driver.
        uuid = torch.cuda.get_device_properties(self.torch).uuid

        def count() -> int:
            try:
                pynvml.nvmlInit()
                handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
                return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))
            except pynvml.NVMLError as error:
                raise OSError(str(error)) from error

        return [EnergyCounter(count=count, per_joule=1e3)]


def computes(name: str) -> bool:
    """Return whether PyTorch computes on a device of that name here."""
    import torch

    try:
        torch.zeros(1, device=name).item()  # of "meta" there is no value to be had
    except (RuntimeError, AssertionError, TypeError):
        return False
    return True
