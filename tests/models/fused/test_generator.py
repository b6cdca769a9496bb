"""The two generators agree bitwise, and their bits pass tests of randomness."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, chi2, norm

from peftlab.models.dropout import CounterDropout
from peftlab.models.fused.generator import (
    channel_bits,
    channel_bits_RC,
    keep_RC,
    row_bits,
    row_bits_R,
    threshold_of,
    u32,
    u64,
)
from peftlab.models.fused.jit import kernel, prange

KEYS = st.integers(min_value=0, max_value=2**64 - 1)


@kernel
def bits_kernel(key: np.uint64, num_rows: int, num_channels: int, out: np.ndarray) -> None:  # type: ignore[type-arg]
    for r in prange(num_rows):
        bits = row_bits(key, r % 7, r)
        low, high = u32(bits & u64(0xFFFFFFFF)), u32(bits >> u64(32))
        for c in range(num_channels):
            out[r, c] = channel_bits(low, high, u32(c))


def plain_bits(key: int, num_rows: int, num_channels: int) -> torch.Tensor:
    row_R = torch.arange(num_rows)
    return channel_bits_RC(row_bits_R(key, row_R % 7, row_R), torch.arange(num_channels))


@given(key=KEYS)
@settings(max_examples=25, deadline=None)
def test_compiled_and_plain_bits_are_the_same(key: int) -> None:
    out = np.zeros((40, 33), dtype=np.uint32)
    bits_kernel(u64(key), 40, 33, out)
    assert np.array_equal(out.astype(np.int64), plain_bits(key, 40, 33).numpy())


def test_a_threshold_is_its_share_of_all_bits() -> None:
    assert threshold_of(0.0) == 0
    assert threshold_of(0.5) == 2**31
    assert threshold_of(1.0) == 2**32 - 1


@pytest.mark.parametrize("probability", [0.01, 0.1, 0.5, 0.9])
def test_the_rate_of_dropped_elements_is_the_probability(probability: float) -> None:
    row_R = torch.arange(2000)
    keep = keep_RC(11, row_R % 16, row_R // 16, torch.arange(768), probability)
    dropped, total = int((~keep).sum()), keep.numel()
    assert 1e-4 < binom.cdf(dropped, total, probability) < 1 - 1e-4
    # and in every row and every channel, as often as chance has it
    for axis, count in ((1, 768), (0, 2000)):
        counts = (~keep).sum(axis).double()
        variance = count * probability * (1 - probability)
        statistic = float(((counts - count * probability) ** 2 / variance).sum())
        assert 1e-4 < chi2.cdf(statistic, len(counts)) < 1 - 1e-4


def signs(key: int, *, rows: int = 512, channels: int = 384, shift: int = 0) -> torch.Tensor:
    """Return +1 or -1 by the highest bit."""
    row_R = torch.arange(rows)
    bits = channel_bits_RC(row_bits_R(key, row_R % 16, row_R // 16 + shift), torch.arange(channels))
    return torch.where(bits >= 2**31, 1.0, -1.0)


def is_uncorrelated(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Return whether the mean product is within the bounds of chance in 9,999 of 10,000 tests."""
    z = float((left * right).mean()) * math.sqrt(left.numel())
    return abs(z) < float(norm.isf(5e-5))


def test_neighbouring_channels_and_rows_are_uncorrelated() -> None:
    s = signs(5)
    for distance in (1, 2, 3, 8, 16, 32, 64):
        assert is_uncorrelated(s[:, distance:], s[:, :-distance])
        assert is_uncorrelated(s[distance:], s[:-distance])


def test_no_row_is_a_shifted_copy_of_another() -> None:
    s = signs(5, rows=200)
    spectra = torch.fft.rfft(s, n=1024)
    for row in range(0, 200, 20):
        correlation = torch.fft.irfft(spectra * spectra[row].conj(), n=1024) / 384
        correlation[row] = 0
        assert float(correlation.abs().max()) < 0.35  # 6.9 standard deviations at full overlap


def test_steps_sites_and_seeds_are_uncorrelated() -> None:
    module = torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Dropout(0.1))
    source = CounterDropout(module, seed=3)
    other = CounterDropout(module, seed=4)
    keys = []
    for step in range(6):
        source.begin(step, {})
        other.begin(step, {})
        keys += [source.key("0"), source.key("1"), other.key("0")]
    assert len(set(keys)) == len(keys)
    drawn = [signs(key, rows=128) for key in keys]
    for first in range(len(drawn)):
        for second in range(first):
            assert is_uncorrelated(drawn[first], drawn[second])


def test_every_bit_is_as_often_set_as_not_and_independent_of_the_others() -> None:
    bits = plain_bits(99, 1024, 128).flatten()
    columns = torch.stack([((bits >> b) & 1) * 2.0 - 1 for b in range(32)])
    z = columns.mean(1) * math.sqrt(len(bits))
    assert float(z.abs().max()) < 4.5
    correlation = columns @ columns.T / math.sqrt(len(bits))
    correlation.fill_diagonal_(0)
    assert float(correlation.abs().max()) < 5.0


def test_a_hash_of_index_xor_seed_would_not_pass() -> None:
    """This is the control: a weaker generator, in which seeds permute the indices, is noticed."""
    index = torch.arange(512 * 384)

    def weak(seed: int) -> torch.Tensor:
        x = (index ^ seed) * 0x9E3779B9 & 0xFFFFFFFF
        return torch.where(x >= 2**31, 1.0, -1.0)

    assert not is_uncorrelated(weak(2), weak(3))
