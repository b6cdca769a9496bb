"""One launch for several models gives what each model's plain twin gives for its own rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForSequenceClassification

from peftlab.models.fused import together
from peftlab.models.fused.dropout import Dropout, DropoutSettings
from peftlab.models.fused.embedding import LookUp, LookUpTable
from peftlab.models.fused.gelu import Gelu, GeluSettings
from peftlab.models.fused.linear import Adapter, Joined, JoinedLinear, LinearSettings
from peftlab.models.fused.norm import DropoutAddNorm, NormSettings
from peftlab.models.fused.operation import Call
from peftlab.models.fused.rows import TakeRows
from peftlab.models.fused.together import carry_out_together, compute
from peftlab.models.fused_model import FusedModel
from peftlab.models.packing import packed_model
from peftlab.models.shared_weights import SharedWeights, frozen
from tests.models.cuda.test_encoder import TINY
from tests.models.operations import attention_case, random, rows_of, with_gradients
from tests.models.tiny import ragged, with_method

pytestmark = pytest.mark.usefixtures("interpreted")

LENGTHS = ((4, 1, 5), (2,), (3, 20))
KEYS = (2**63 + 12345, 77, 2**64 - 3)
ROWS = [rows_of(lengths, first_example=3 * k) for k, lengths in enumerate(LENGTHS)]
NUM_TOKENS = [sum(lengths) for lengths in LENGTHS]


def assert_equal_to_the_twins(
    calls: Sequence[Call], sources: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs and gradients of all models at once, against each model's own plain twin."""
    shared = together.SHARED[calls[0].operation]
    assert together._alike(calls[0]) is not None, "the kernels are what runs"
    seen = []
    once = together.apply
    monkeypatch.setattr(together, "apply", lambda *args: seen.append(args[0]) or once(*args))
    fast = with_gradients(lambda: torch.cat([*compute(calls, {})]), sources)
    assert seen == [shared]

    def plain() -> Tensor:
        return torch.cat([call.operation.plain(call.settings, *call.inputs) for call in calls])

    expected = with_gradients(plain, sources)
    for left, right in zip(fast, expected, strict=True):
        assert left.shape == right.shape
        assert float((left - right).norm() / right.norm().clamp(min=1)) < 1e-6


@pytest.mark.parametrize("probability", [0.0, 0.3])
def test_norms_of_several_models(probability: float, monkeypatch: pytest.MonkeyPatch) -> None:
    norms = []
    for k in range(3):
        norms.append(nn.LayerNorm(12))
        with torch.no_grad():
            norms[-1].weight.add_(random(12, seed=k))
            norms[-1].bias.add_(random(12, seed=10 + k))
    norms[2].weight.requires_grad_(False)
    inputs = [(random(n, 12, seed=20 + n), random(n, 12, seed=40 + n)) for n in NUM_TOKENS]
    calls = [
        Call(
            DropoutAddNorm,
            NormSettings(norm=norm, rows=rows, key=key, probability=probability),
            own,
        )
        for norm, rows, key, own in zip(norms, ROWS, KEYS, inputs, strict=True)
    ]
    parameters = [p for norm in norms for p in norm.parameters() if p.requires_grad]
    assert_equal_to_the_twins(calls, [*sum(inputs, ()), *parameters], monkeypatch)


def test_dropout_of_several_models(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = [random(n, 20, seed=n) for n in NUM_TOKENS]
    calls = [
        Call(Dropout, DropoutSettings(rows=rows, key=key, probability=0.4), (x,))
        for rows, key, x in zip(ROWS, KEYS, inputs, strict=True)
    ]
    assert_equal_to_the_twins(calls, inputs, monkeypatch)


@pytest.mark.parametrize("form", ["joined", "pooled", "apart"])
def test_attention_of_several_models(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [
        attention_case(form, 2, 5, lengths, key=key, probability=0.2)
        for lengths, key in zip(LENGTHS, KEYS, strict=True)
    ]
    calls = [
        Call(together.SharedAttention.one, settings, tuple(inputs)) for settings, inputs in cases
    ]
    assert_equal_to_the_twins(calls, [x for _, inputs in cases for x in inputs], monkeypatch)


def test_operations_that_have_no_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = [random(n, 7, seed=n) for n in NUM_TOKENS]
    calls = [Call(Gelu, GeluSettings(has_backward=True), (x,)) for x in inputs]
    assert_equal_to_the_twins(calls, inputs, monkeypatch)
    places = [torch.tensor(np.cumsum([0, *lengths[:-1]])) for lengths in LENGTHS]
    taken = [Call(TakeRows, own, (x,)) for own, x in zip(places, inputs, strict=True)]
    assert_equal_to_the_twins(taken, inputs, monkeypatch)


def test_looking_up_in_the_same_tables() -> None:
    table = nn.Parameter(random(9, 6).detach(), requires_grad=False)
    calls = [
        Call(LookUp, (LookUpTable(weight=table, ids_R=torch.arange(n) % 7, first=2),), ())
        for n in NUM_TOKENS
    ]
    outputs = compute(calls, {})
    for call, output in zip(calls, outputs, strict=True):
        assert torch.equal(output, LookUp.plain(call.settings))
    table.requires_grad_(True)
    assert together._alike(calls[0]) is None


def linear_calls(kinds: Sequence[str]) -> tuple[list[Call], list[Tensor]]:
    """Two layers of 12 to 16 and 20, with own biases and LoRA of two ranks on one or on both."""
    weights = [random(16, 12, seed=1).detach(), random(20, 12, seed=2).detach()]
    biases = [random(16, seed=3).detach(), random(20, seed=4).detach()]
    calls, sources = [], []
    for k, kind in enumerate(kinds):
        layers = []
        for weight, bias in zip(weights, biases, strict=True):
            layer = nn.Linear(12, len(weight))
            layer.weight = nn.Parameter(weight, requires_grad=False)
            layer.bias = nn.Parameter(
                bias + k if kind == "bias" else bias, requires_grad=kind == "bias"
            )
            layers.append(layer)
            if kind == "bias":
                sources.append(layer.bias)
        adapters = []
        for index in {"lora": (1,), "lora2": (0, 1)}.get(kind, ()):
            a = nn.Parameter(random(3 + k, 12, seed=30 + k + index).detach())
            b = nn.Parameter(random(len(weights[index]), 3 + k, seed=50 + k + index).detach())
            adapters.append(
                Adapter(
                    index=index, a=a, b=b, scaling=0.5 + k, dropout=nn.Dropout(0.2), site=f"{k}"
                )
            )
            sources += [a, b]
        settings = LinearSettings(
            joined=Joined(layers=tuple(layers), adapters=tuple(adapters)),
            rows=ROWS[k],
            dropouts=tuple((KEYS[k] - index, 0.2) for index in range(len(adapters))),
        )
        x = random(NUM_TOKENS[k], 12, seed=70 + k)
        sources.append(x)
        calls.append(Call(JoinedLinear, settings, (x,)))
    return calls, sources


@pytest.mark.parametrize(
    "kinds",
    [
        ("lora", "lora2", "lora"),
        ("bias", "lora2", "plain"),
        ("plain", "plain", "lora"),
        ("bias", "bias", "bias"),
    ],
    ids="-".join,
)
def test_linear_layers_of_several_models(
    kinds: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, sources = linear_calls(kinds)
    assert_equal_to_the_twins(calls, sources, monkeypatch)


METHODS = ("lora", "bitfit", "ln-tuning", "ia3", "head", "houlsby", "pfeiffer")


def test_tiny_models_at_once_equal_each_alone() -> None:
    torch.manual_seed(0)
    weights = SharedWeights()
    state: dict[str, Any] = {}
    packed: list[FusedModel] = []
    for method in METHODS:
        base = BertForSequenceClassification(BertConfig(**TINY))
        state = state or {name: 1.3 * one for name, one in base.state_dict().items()}
        base.load_state_dict(state)
        module = with_method(base, method).train()
        model = packed_model(module, base, dropout_seed=len(packed))
        assert isinstance(model, FusedModel)
        packed.append(model)
    lengths = [np.array([3, 1, 2]), np.array([2, 4])]
    batches = [
        ragged(torch.arange(2, 2 + int(own.sum())) + k, own)
        for k, own in enumerate(lengths[k % 2] for k in range(len(packed)))
    ]

    def gradients(model: FusedModel) -> dict[str, Tensor]:
        named = model.module.named_parameters()
        return {name: p.grad.clone() for name, p in named if p.grad is not None}

    def loss(logits_BC: Tensor) -> Tensor:
        return cross_entropy(logits_BC, torch.arange(len(logits_BC)) % 2)

    from contextlib import ExitStack

    with ExitStack() as stack:
        for model in packed:
            stack.enter_context(model.active())
            weights.share(frozen(model.module))
        alone = []
        for model, rows in zip(packed, batches, strict=True):
            model.module.zero_grad()
            logits_BC = model(rows, step=2)
            loss(logits_BC).backward()
            alone.append((logits_BC.detach(), gradients(model)))
            model.module.zero_grad()
        programs = [
            model.program(rows, step=2) for model, rows in zip(packed, batches, strict=True)
        ]
        logits = carry_out_together(programs)
        torch.stack([loss(one) for one in logits]).sum().backward()
        for model, found_BC, (expected_BC, expected) in zip(packed, logits, alone, strict=True):
            torch.testing.assert_close(found_BC, expected_BC, rtol=1e-5, atol=1e-5)
            found = gradients(model)
            assert found.keys() == expected.keys()
            for name, gradient in expected.items():
                torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6, msg=name)
