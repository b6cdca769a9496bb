"""Every Triton kernel gives the results of its plain twin, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from peftlab.models.attention import AttentionScores
from peftlab.models.fused.attention import Attention, AttentionSettings, Heads, Spans
from peftlab.models.fused.backends import NUMBA, TRITON, backend_of
from peftlab.models.fused.dropout import Dropout, DropoutSettings
from peftlab.models.fused.embedding import LookUp, LookUpTable
from peftlab.models.fused.gelu import Gelu, GeluSettings
from peftlab.models.fused.linear import Adapter, Joined, JoinedLinear, LinearSettings
from peftlab.models.fused.norm import DropoutAddNorm, NormSettings
from peftlab.models.fused.operation import PlainOperation
from peftlab.models.fused.rows import TakeRows
from peftlab.models.fused.tape import apply
from peftlab.models.masked_attention import MaskedAttention, MaskedAttentionSettings
from tests.models.operations import attention_case, both_ways, random, rows_of

pytestmark = pytest.mark.usefixtures("interpreted")

LENGTHS = (4, 1, 5)
NUM_TOKENS = sum(LENGTHS)
ROWS = rows_of(LENGTHS, first_example=3)
LARGE_KEY = 2**63 + 12345


def assert_twins_agree(
    operation: type[PlainOperation],
    settings: object,
    inputs: list[Tensor],
    parameters: list[Tensor],
) -> tuple[list[Tensor], list[Tensor]]:
    """Assert that output and gradients by the kernels and by the plain twin agree to rounding."""
    fast, plain = both_ways(operation, settings, inputs, parameters)
    for left, right in zip(fast, plain, strict=True):
        assert left.shape == right.shape
        assert float((left - right).norm() / right.norm().clamp(min=1)) < 1e-6
    return fast, plain


def test_the_triton_kernels_are_what_runs() -> None:
    """Otherwise the tests of this file would compare the twins with themselves."""
    x = random(3, 4)
    backend = backend_of(x)
    assert backend is not None
    assert backend.kernels_of is TRITON.kernels_of
    assert backend.kernels_of is not NUMBA.kernels_of
    out = apply(Gelu, GeluSettings(has_backward=True), x)
    assert "Applied" in str(out.grad_fn)


@pytest.mark.parametrize("width", [1, 64, 1100])
@pytest.mark.parametrize("probability", [0.1, 0.7])
def test_dropout_draws_the_same_masks(width: int, probability: float) -> None:
    settings = DropoutSettings(rows=ROWS, key=LARGE_KEY, probability=probability)
    fast, plain = assert_twins_agree(Dropout, settings, [random(NUM_TOKENS, width)], [])
    assert torch.equal(fast[0] == 0, plain[0] == 0)


@pytest.mark.parametrize("width", [8, 33])
@pytest.mark.parametrize("probability", [0.0, 0.3])
def test_dropout_add_norm(width: int, probability: float) -> None:
    norm = nn.LayerNorm(width, eps=1e-6)
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
    settings = NormSettings(norm=norm, rows=ROWS, key=77, probability=probability)
    inputs = [random(NUM_TOKENS, width), random(NUM_TOKENS, width, seed=1)]
    assert_twins_agree(DropoutAddNorm, settings, inputs, [norm.weight, norm.bias])


@pytest.mark.parametrize("width", [13, 64])
def test_gelu(width: int) -> None:
    x = (random(NUM_TOKENS, width) * 4).detach().requires_grad_()
    assert_twins_agree(Gelu, GeluSettings(has_backward=True), [x], [])


def test_take_rows() -> None:
    places = torch.tensor([0, 4, 9])
    assert_twins_agree(TakeRows, places, [random(NUM_TOKENS, 13)], [])


@pytest.mark.parametrize("width", [1, 13])
def test_look_up(width: int) -> None:
    positions = LookUpTable(weight=random(8, width, seed=1), ids_R=ROWS.position_R, first=2)
    types = LookUpTable(weight=random(2, width, seed=2), ids_R=ROWS.position_R % 2)
    assert_twins_agree(LookUp, (positions,), [], [positions.weight])
    assert_twins_agree(LookUp, (positions, types), [], [positions.weight, types.weight])
    types.weight.requires_grad_(False)
    assert_twins_agree(LookUp, (positions, types), [], [positions.weight])


@pytest.mark.parametrize("probability", [0.0, 0.2])
@pytest.mark.parametrize(
    ("form", "num_heads", "width", "lengths"),
    [
        ("joined", 2, 8, (3, 17)),
        ("joined", 1, 16, (1, 33)),
        ("pooled", 2, 5, (3, 17)),
        ("apart", 1, 5, (1, 4)),
    ],
)
def test_attention(
    form: str, num_heads: int, width: int, lengths: tuple[int, ...], probability: float
) -> None:
    """Rows of up to 16 tokens are one block, and longer rows are several."""
    settings, projections = attention_case(
        form, num_heads, width, lengths, key=LARGE_KEY, probability=probability
    )
    assert_twins_agree(Attention, settings, projections, [])


@pytest.mark.parametrize(
    ("is_causal", "window", "num_key_heads", "lengths", "probability"),
    [
        (True, None, 1, (1, 4), 0.2),
        (True, 3, 2, (5,), 0.0),
        (False, 3, 1, (2, 6), 0.2),
        (True, 5, 1, (35,), 0.2),
        (False, 5, 2, (35,), 0.0),
    ],
)
def test_masked_attention(
    is_causal: bool,
    window: int | None,
    num_key_heads: int,
    lengths: tuple[int, ...],
    probability: float,
) -> None:
    """There are two heads of queries; for long rows some blocks of keys are skipped."""
    num_tokens, width = sum(lengths), 6
    offsets = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]))
    settings = MaskedAttentionSettings(
        attention=AttentionSettings(
            heads=Heads(count=2, scale=0.5),
            spans=Spans(query_offsets=offsets, key_offsets=offsets, first_example=1),
            key=LARGE_KEY,
            probability=probability,
        ),
        scores=AttentionScores(scale=0.5, is_causal=is_causal, window=window, softcap=None),
        num_key_heads=num_key_heads,
    )
    sizes = (2 * width, num_key_heads * width, num_key_heads * width)
    inputs = [random(num_tokens, size, seed=seed) for seed, size in enumerate(sizes)]
    assert_twins_agree(MaskedAttention, settings, inputs, [])


def joined_layers(*, bias: bool = True, p: float = 0.2) -> Joined:
    """Return layers of three widths, the first and the last with adapters of different ranks."""
    torch.manual_seed(0)
    layers = tuple(nn.Linear(20, size, bias=bias) for size in (12, 8, 150))
    adapters = tuple(
        Adapter(
            index=index,
            a=nn.Parameter(torch.randn(rank, 20)),
            b=nn.Parameter(torch.randn(layers[index].out_features, rank)),
            scaling=scaling,
            dropout=nn.Dropout(p),
            site=f"{index}",
        )
        for index, rank, scaling in ((0, 3, 1.5), (2, 17, 0.5))
    )
    return Joined(layers=layers, adapters=adapters)


KEYS = {"0": 8, "2": LARGE_KEY}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("probability", [0.0, 0.2])
def test_joined_linear(bias: bool, probability: float) -> None:
    joined = joined_layers(bias=bias, p=probability)
    settings = LinearSettings.of(joined, ROWS, KEYS.__getitem__)
    assert_twins_agree(JoinedLinear, settings, [random(NUM_TOKENS, 20)], list(joined.parameters))


def test_adapters_that_have_moved_are_found() -> None:
    joined = joined_layers()
    settings = LinearSettings.of(joined, ROWS, KEYS.__getitem__)
    x = random(NUM_TOKENS, 20)
    before = apply(JoinedLinear, settings, x)
    for adapter in joined.adapters:
        adapter.a.data = adapter.a.detach() * 2
    after = apply(JoinedLinear, settings, x)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, JoinedLinear.plain(settings, x))


def test_frozen_layers_get_no_gradient() -> None:
    joined = joined_layers()
    for layer in joined.layers:
        layer.requires_grad_(False)
    joined.adapters[1].a.requires_grad_(False)
    x = random(NUM_TOKENS, 20).detach()
    settings = LinearSettings.of(joined, ROWS, KEYS.__getitem__)
    apply(JoinedLinear, settings, x).sum().backward()
    assert all(layer.weight.grad is None for layer in joined.layers)
    assert joined.adapters[0].a.grad is not None
    assert joined.adapters[1].a.grad is None
    assert x.grad is None


def test_frozen_operands_are_rounded_once_and_again_where_they_have_changed() -> None:
    from peftlab.models.cuda.linear import operand_of

    joined, bf16 = joined_layers(), torch.bfloat16
    weights, biases = joined.weights, joined.biases
    trained = operand_of(joined, weights, bf16)
    assert operand_of(joined, weights, bf16) is not trained
    assert operand_of(joined, weights, torch.float32).dtype == torch.float32
    for parameter in (*weights, *biases):
        parameter.requires_grad_(False)
    first, of_biases = operand_of(joined, weights, bf16), operand_of(joined, biases, bf16)
    assert operand_of(joined, weights, bf16) is first
    assert operand_of(joined, biases, bf16) is of_biases
    assert torch.equal(first, torch.cat([weight.detach() for weight in weights]).to(bf16))
    with torch.no_grad():
        weights[1].mul_(2)
    assert torch.equal(operand_of(joined, weights, bf16)[12:20], 2 * first[12:20])
    weights[0].data = weights[0].detach() * 4
    assert torch.equal(operand_of(joined, weights, bf16)[:12], 4 * first[:12])
