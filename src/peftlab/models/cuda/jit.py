"""The declaration of Triton kernels, and the common parts of their launches.

A kernel's parameters in capitals are constants that it is compiled for; a tensor is given to it as
a pointer to its first element. With TRITON_INTERPRET=1 in the environment when this is imported,
kernels are run by Triton's interpreter, on tensors of the processor.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeAlias

import torch

from peftlab.models.fused.generator import KeyOnDevice, signed, threshold_of
from peftlab.models.fused.jit import kernel_folder
from peftlab.models.fused.linear import stacked

# Triton 3.9 warns that its default will change, and with it the last bits of what kernels give.
os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
os.environ.setdefault("TRITON_CACHE_DIR", str(kernel_folder() / "triton"))

import triton
import triton.language as tl

# Triton reads annotations too, and accepts no names in them but its own.
Pointer: TypeAlias = tl.tensor
"""In a kernel: the address of a tensor's first element."""
Value: TypeAlias = tl.tensor
"""In a kernel: a number or a block of numbers."""

INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")


def kernel(function: Callable[..., Any]) -> Any:
    """Return the function compiled when first launched, or to be called by other kernels."""
    return triton.jit(function)


def ceil_power_of_2(number: int, *, least: int = 1) -> int:
    """Return the smallest power of 2 that is not below the number, nor below `least`.

    >>> ceil_power_of_2(48), ceil_power_of_2(3, least=16)
    (64, 16)
    """
    return max(least, 1 << (number - 1).bit_length())


def num_warps(columns: int) -> int:
    """Return how many warps a program takes for rows of so many columns."""
    return 4 if columns <= 1024 else 8


def precision_of(dtype: torch.dtype) -> str:
    """Return how tl.dot multiplies: float32 as cuBLAS does, exactly unless TF32 is asked for."""
    return "ieee" if multiplies_exactly(dtype) else "tf32"


def multiplies_exactly(dtype: torch.dtype) -> bool:
    """Return whether operands of that type are to be multiplied as they are, in float32."""
    return dtype == torch.float32 and torch.backends.cuda.matmul.fp32_precision != "tf32"


def keys_on(device: torch.device, *keys: int) -> torch.Tensor:
    """Return the generator's keys as a tensor, int64 [number of keys]: kernels read them there."""
    places = [key.place for key in keys if isinstance(key, KeyOnDevice)]
    if len(places) == len(keys):
        return stacked(places)
    if len(keys) == 1 or device.type != "cuda":
        first, *others = (
            torch.full((1,), signed(key), dtype=torch.int64, device=device) for key in keys
        )
        return torch.cat([first, *others]) if others else first
    return on_device(torch.tensor([signed(key) for key in keys], dtype=torch.int64), device)


def on_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor of the processor on a device.

    No copy from pageable memory is made, for which the processor would wait.
    """
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def dropped_below(probability: float) -> int:
    """Return the threshold of a dropout as kernels are compiled for; 0 where nothing is drawn."""
    return threshold_of(probability) if probability > 0 else 0


@kernel
def dot(a: Value, b: Value, PRECISION: tl.constexpr) -> Value:
    """a @ b in float32. The interpreter would multiply the bits of bfloat16 as integers."""
    if INTERPRETED:
        a = a.to(tl.float32)
        b = b.to(tl.float32)
    return tl.dot(a, b, input_precision=PRECISION)
