"""Random bits as a function of their place of use: a counter-based generator, in two versions.

Whether an element is dropped depends only on the key of its site (a hash of seed, step and the
dropout module's name), the example in the batch, the position in the example and the channel. No
mask is stored and no state is carried; packed and padded batches draw the same masks.

A row (example, position) gets 64 bits from the key by two rounds of SplitMix64's finalizer (Steele
et al. 2014, OOPSLA). A channel of the row gets 32 bits by a Weyl sequence that starts at half of
them, hashed by two multiply-xorshift rounds with the other half mixed in between; the constants of
these rounds are those of C. Wellons' lowbias32. Without that second half, two rows would
occasionally be shifted copies of each other.

The first version is compiled by numba and works on numpy's fixed-width integers; the second is its
plain torch twin in int64, which wraps around as uint64 does. Tests check that they agree bitwise.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from peftlab.models.fused.jit import inline

u32, u64 = np.uint32, np.uint64

GOLDEN_64, MIX_64_A, MIX_64_B = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
GOLDEN_32, MIX_32_A, MIX_32_B = 0x9E3779B9, 0x7FEB352D, 0x846CA68B
LOW_32 = 0xFFFFFFFF

HEAD_STRIDE = 1 << 16
"""The stride of heads: an attention probability's channel is head * stride + key's position."""

_GOLDEN_64, _MIX_64_A, _MIX_64_B = u64(GOLDEN_64), u64(MIX_64_A), u64(MIX_64_B)
_GOLDEN_32, _MIX_32_A, _MIX_32_B = u32(GOLDEN_32), u32(MIX_32_A), u32(MIX_32_B)


class KeyOnDevice(int):
    """A key that kernels of a device read from an int64 [1] in its memory.

    Its value as a number is meaningless: it takes the place of a key in the settings of operations.
    """

    place: Tensor

    def __new__(cls, place: Tensor) -> KeyOnDevice:
        """Return the key in this memory."""
        key = super().__new__(cls, 0)
        key.place = place
        return key


def threshold_of(probability: float) -> int:
    """Return the threshold below which an element's 32 bits drop it."""
    return min(round(probability * 2**32), LOW_32)


@inline
def mix_64(z: np.uint64) -> np.uint64:
    """Return SplitMix64's finalizer of z."""
    z = (z ^ (z >> u64(30))) * _MIX_64_A
    z = (z ^ (z >> u64(27))) * _MIX_64_B
    return z ^ (z >> u64(31))


@inline
def row_bits(key: np.uint64, example: int, position: int) -> np.uint64:
    """Return the 64 bits of a row."""
    return mix_64(mix_64(key + _GOLDEN_64 * u64(example + 1)) + _GOLDEN_64 * u64(position + 1))


@inline
def channel_bits(low: np.uint32, high: np.uint32, channel: np.uint32) -> np.uint32:
    """Return the 32 bits of a channel in the row whose bits are `high` and `low`."""
    x = u32(low + u32(channel * _GOLDEN_32))
    x = u32(x ^ (x >> u32(16)))
    x = u32(x * _MIX_32_A)
    x = u32(x ^ high)
    x = u32(x ^ (x >> u32(15)))
    x = u32(x * _MIX_32_B)
    return u32(x ^ (x >> u32(16)))


def row_bits_R(key: int, example_R: Tensor, position_R: Tensor) -> Tensor:
    """Return the 64 bits of each row, as int64 [R]."""
    first = _mix_64(signed(key) + signed(GOLDEN_64) * (example_R + 1))
    return _mix_64(first + signed(GOLDEN_64) * (position_R + 1))


def channel_bits_RC(bits_R: Tensor, channel_C: Tensor) -> Tensor:
    """Return the 32 bits of each channel of each row, as int64 [R, C] from 0 to 2**32 - 1."""
    low_R1, high_R1 = (bits_R & LOW_32)[:, None], (bits_R >> 32 & LOW_32)[:, None]
    x = (low_R1 + channel_C * GOLDEN_32) & LOW_32
    x = x ^ (x >> 16)
    x = (x * MIX_32_A) & LOW_32
    x = x ^ high_R1
    x = x ^ (x >> 15)
    x = (x * MIX_32_B) & LOW_32
    return x ^ (x >> 16)


def _mix_64(z: Tensor) -> Tensor:
    z = (z ^ _shifted(z, 30)) * signed(MIX_64_A)
    z = (z ^ _shifted(z, 27)) * signed(MIX_64_B)
    return z ^ _shifted(z, 31)


def _shifted(z: Tensor, bits: int) -> Tensor:
    """Return the bits of an int64 shifted logically to the right."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def signed(value: int) -> int:
    """Return the int64 with the bits of a uint64."""
    return value - 2**64 if value >= 2**63 else value


def keep_RC(
    key: int, example_R: Tensor, position_R: Tensor, channel_C: Tensor, probability: float
) -> Tensor:
    """Return which elements are kept, bool [R, C]: the plain twin of the kernels' draws."""
    bits_RC = channel_bits_RC(row_bits_R(key, example_R, position_R), channel_C.to(torch.int64))
    return bits_RC >= threshold_of(probability)
