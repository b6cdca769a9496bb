"""The devices other than the processor on which PyTorch computes: NVIDIA GPUs and others."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import ClassVar, cast

from peftlab.core.errors import UserError
from peftlab.core.training import Precision
from peftlab.engine.devices.base import Device, EnergyCounter
from peftlab.engine.devices.processor import reset_resident_peak, resident_peak_bytes

SECONDS_PER_RECORDED_LAYER = 0.0002
"""About what a layer takes of a recorded step of few tokens, by a prototype of such steps on an
H200: no run of this project has measured it. A speed that is measured takes its place."""
TOKENS_TO_FILL = 7_000
"""Taken from a prototype of grouped steps on an H200, with bert-base: 32 trials with batches of 213
tokens gained little from more, nor did 8 with 850. Not measured with these kernels, nor on smaller
cards, which are full sooner."""
INSTALL = "pip install 'peftlab[gpu]'"


class Accelerator(Device):
    """A device about which nothing is known except that PyTorch computes on it.

    Its memory is taken to be that of the process.
    """

    seconds_per_layer: float = 0.005
    """The time to launch a layer's kernels on a GPU (benchmarks/gpu.py, section steps)."""
    eval_tokens_per_batch: ClassVar[int] = 100_000
    """Enough to keep all of a GPU busy."""
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
        """Reset the peak of the process's resident memory."""
        return reset_resident_peak()

    def peak_memory_bytes(self) -> int | None:
        """Return the peak resident memory of the process."""
        return resident_peak_bytes()


class Cuda(Accelerator):
    """An NVIDIA GPU. Its energy is that of the whole board, read by the package nvidia-ml-py."""

    holds_4bit: ClassVar[bool] = True
    trainer_precisions: ClassVar[tuple[Precision, ...]] = ("bf16", "fp32")
    counts_launches: ClassVar[bool] = True
    peak_size: ClassVar[int] = 8192

    @cached_property
    def model_name(self) -> str:
        """The name of the GPU."""
        import torch

        return torch.cuda.get_device_name(self.torch)

    @cached_property
    def memory_bytes(self) -> int:
        """The memory of the card."""
        import torch

        return int(torch.cuda.get_device_properties(self.torch).total_memory)

    @cached_property
    def why_not_bf16(self) -> str | None:
        """The reason why the card cannot multiply bfloat16; None from Ampere on."""
        import torch

        from peftlab.models.fused.backends import OLDEST_CAPABILITY

        if torch.cuda.get_device_capability(self.torch) >= OLDEST_CAPABILITY:
            return None
        return "its matrix units are older than Ampere's"

    @cached_property
    def is_faster_in_bf16(self) -> bool:  # type: ignore[override]
        """Whether bf16 is faster, which it is if Triton's kernels compute: PyTorch's own were
        slower in bf16 (decision 17)."""
        return self._has_kernels

    @cached_property
    def seconds_per_layer(self) -> float:  # type: ignore[override]
        """The time of starting a layer's kernels; much less of it where a step is one graph."""
        return SECONDS_PER_RECORDED_LAYER if self._has_kernels else super().seconds_per_layer

    @cached_property
    def tokens_to_fill(self) -> int:  # type: ignore[override]
        """The tokens that fill it; 0 without the kernels that take several trials at once."""
        return TOKENS_TO_FILL if self._has_kernels else 0

    @cached_property
    def _has_kernels(self) -> bool:
        from peftlab.models.fused import backends

        return backends.why_no_triton(self.torch) is None

    @property
    def why_not_tf32(self) -> str | None:
        """The reason why it cannot compute in TF32; None from Ampere on."""
        return self.why_not_bf16

    def make_ready(self) -> None:
        """Compile the kernels and compare them with plain PyTorch, unless that was done before.

        Raises UserError where kernels are asked for that are not installed.
        """
        from peftlab.models.fused import backends
        from peftlab.models.fused.jit import CHOICE

        choice = backends.chosen()
        if choice == backends.UNTRIED and not backends.HAS_TRITON:
            raise UserError(
                "kernels of Triton are asked for, but it is not installed",
                where=f"{CHOICE}={choice}",
                allowed=f"{INSTALL}, or without it PyTorch's own kernels",
            )
        if choice == "" and backends.why_no_triton(self.torch) is None:
            with self.current():
                backends.TRITON.lacking()

    def make_ready_for(self, model: str) -> None:
        """Compile the kernels at the sizes of the model's layers, and compare them there."""
        from peftlab.models.fused import backends

        if backends.chosen() != "" or not self._has_kernels:
            return
        from peftlab.models.cuda.agreement import compare_at
        from peftlab.models.cuda.agreement_cases import Sizes
        from peftlab.models.facts import config_facts

        every_size = Sizes.of(config_facts(model))
        if every_size:
            with self.current():
                compare_at(every_size)

    def remarks(self) -> list[str]:
        """Return what is missing here for the kernels, or which of them are not used and why."""
        from peftlab.models.fused import backends

        if backends.chosen() != "":
            return []
        if not backends.HAS_TRITON:
            return [f"training on {self.model_name} is much faster with Triton: {INSTALL}"]
        if backends.why_no_triton(self.torch) is not None:
            return []
        from peftlab.models.cuda.agreement import in_words, known_lacking

        line = in_words(known_lacking(self.torch) or {}, self.model_name)
        return [line] if line else []

    def current(self) -> AbstractContextManager[None]:
        """Make it the card on which kernels start that are given no device, within the block."""
        import torch

        if ":" not in self.name:  # the current one is what it stands for
            return nullcontext()
        return cast(AbstractContextManager[None], torch.cuda.device(self.torch))

    def synchronize(self) -> None:
        """Wait for the GPU."""
        import torch

        torch.cuda.synchronize(self.torch)

    def reset_peak_memory(self) -> bool:
        """Reset the peak of PyTorch's allocator."""
        import torch

        torch.cuda.reset_peak_memory_stats(self.torch)
        return True

    def peak_memory_bytes(self) -> int | None:
        """Return the peak of the memory that PyTorch has allocated."""
        import torch

        return int(torch.cuda.max_memory_allocated(self.torch))

    def energy_counters(self) -> list[EnergyCounter]:
        """Return the counter of the board, which counts from when its driver was loaded."""
        try:
            import pynvml
        except ImportError:
            return []
        import torch

        # The UUID is used because torch and the driver number the GPUs differently.
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
        torch.zeros(1, device=name).item()  # a tensor on "meta" has no value to read
    except (RuntimeError, AssertionError, TypeError):
        return False
    return True
