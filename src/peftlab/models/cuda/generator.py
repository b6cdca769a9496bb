"""The counter-based generator of models/fused/generator.py for Triton, equal to it to the bit."""

from __future__ import annotations

import triton.language as tl

from peftlab.models.cuda.jit import Value, kernel
from peftlab.models.fused import generator

GOLDEN_64 = tl.constexpr(generator.GOLDEN_64)
MIX_64_A, MIX_64_B = tl.constexpr(generator.MIX_64_A), tl.constexpr(generator.MIX_64_B)
GOLDEN_32 = tl.constexpr(generator.GOLDEN_32)
MIX_32_A, MIX_32_B = tl.constexpr(generator.MIX_32_A), tl.constexpr(generator.MIX_32_B)
LOW_32 = tl.constexpr(generator.LOW_32)
HEAD_STRIDE = tl.constexpr(generator.HEAD_STRIDE)


@kernel
def mix_64(z: Value) -> Value:
    """SplitMix64's finalizer of uint64."""
    z = (z ^ (z >> 30)) * MIX_64_A
    z = (z ^ (z >> 27)) * MIX_64_B
    return z ^ (z >> 31)


@kernel
def row_bits(key: Value, example: Value, position: Value) -> Value:
    """Return the two halves, low and high, of the 64 bits of each row; all given as integers."""
    z = mix_64(key.to(tl.uint64) + (example + 1).to(tl.uint64) * GOLDEN_64)
    z = mix_64(z + (position + 1).to(tl.uint64) * GOLDEN_64)
    return (z & LOW_32).to(tl.uint32), (z >> 32).to(tl.uint32)


@kernel
def channel_bits(low: Value, high: Value, channel: Value) -> Value:
    """Return the 32 bits of a channel of the row whose bits are `low` and `high`."""
    x = low + channel.to(tl.uint32) * GOLDEN_32
    x = (x ^ (x >> 16)) * MIX_32_A
    x = x ^ high
    x = (x ^ (x >> 15)) * MIX_32_B
    return x ^ (x >> 16)


@kernel
def dropped(x: Value, low: Value, high: Value, channel: Value, threshold: Value) -> Value:
    """x after dropout, without its scale."""
    return tl.where(channel_bits(low, high, channel) >= threshold, x, 0.0)
