"""With factors rounded to bfloat16, a step is the same whatever carries it out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from peftlab.data.batches import Ragged
from peftlab.methods.registry import METHODS
from peftlab.models.batched import PackedModel
from peftlab.models.fused.batch import PackedBatch
from peftlab.models.fused.choices import CHOICE, Choices, available, using
from peftlab.models.fused.encoder import Encoder
from peftlab.models.fused.linear import Keys
from peftlab.models.fused.operation import carry_out
from peftlab.models.fused.tape import apply
from peftlab.models.packing import packed_model
from tests.models.fused.test_blocks import tiny_model

LENGTHS = (3, 7, 1, 12)


@pytest.fixture(params=available())
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Compute all products by one of the kernels."""
    monkeypatch.setenv(CHOICE, request.param)
    with using(Choices()):
        yield request.param


def model_under(method: str) -> PackedModel:
    torch.manual_seed(0)
    base = tiny_model(hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    found = METHODS.get(method)
    module = found.apply(base, found.resolve({}), seed=0)
    with torch.no_grad():  # B of LoRA is zero at first, and its A would have no gradient
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape)
    model = packed_model(module.train(), base, dropout_seed=1)
    model.bf16 = True
    return model


def step_of(model: PackedModel) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the logits of a training step, and the gradients of a weighted sum of them."""
    ids = np.random.default_rng(0).integers(1, 20, sum(LENGTHS))
    rows = Ragged(ids=ids, lengths=np.array(LENGTHS), type_ids=None)
    model.module.zero_grad()
    with model.rounding():
        logits = model(rows, step=3)
    (logits.float() * torch.arange(1.0, 1 + logits.numel()).view_as(logits)).sum().backward()
    named = model.module.named_parameters()
    return logits.detach(), {n: p.grad.clone() for n, p in named if p.grad is not None}


def one_by_one(
    encoder: Encoder, x: Tensor, batch: PackedBatch, keys: Keys, **others: Any
) -> Tensor:
    """Run an encoder as if it could not be recorded."""
    found: Tensor = carry_out(encoder.program(x, batch, keys), apply)
    return found


@pytest.mark.parametrize("method", ["full", "lora", "bitfit"])
@pytest.mark.usefixtures("kernel")
def test_recorded_it_is_that_of_operations_one_by_one(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_under(method)
    with model.active():
        first, again = step_of(model), step_of(model)
        with monkeypatch.context() as patch:
            patch.setattr(Encoder, "run", one_by_one)
            alone = step_of(model)
        model.bf16 = False
        exact = step_of(model)
    assert first[1]
    for found, tolerance in ((again, 0.0), (alone, 1e-5)):
        assert torch.equal(found[0], first[0])
        assert found[1].keys() == first[1].keys()
        for name, gradient in found[1].items():
            torch.testing.assert_close(gradient, first[1][name], rtol=tolerance, atol=tolerance)
    assert not torch.equal(exact[0].float(), first[0].float())
    assert torch.allclose(exact[0].float(), first[0].float(), rtol=2e-2, atol=2e-2)
    flat, rounded = (
        torch.cat([gradient.flatten() for gradient in gradients.values()])
        for gradients in (exact[1], first[1])
    )
    assert float((flat - rounded).norm() / flat.norm()) < 2e-2


@pytest.mark.usefixtures("kernel")
def test_a_frozen_weight_that_is_written_to_is_rounded_anew() -> None:
    model = model_under("lora")
    weight = next(
        parameter
        for name, parameter in model.module.named_parameters()
        if name.endswith("intermediate.dense.weight") and not parameter.requires_grad
    )
    assert isinstance(weight, nn.Parameter)
    with model.active():
        before = step_of(model)[0]
        with torch.no_grad():
            weight *= 3
        after = step_of(model)[0]
    with model.active():
        expected = step_of(model)[0]
    assert not torch.equal(before, after)
    assert torch.equal(after, expected)
