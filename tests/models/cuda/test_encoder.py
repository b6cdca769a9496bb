"""A whole tiny BERT gives the same results by the Triton kernels as by the plain twins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForSequenceClassification

from peftlab.models.fused import backends
from peftlab.models.packing import packed_model
from tests.models.tiny import ragged, with_method

LENGTHS = np.array([3, 1, 2])
TINY: dict[str, Any] = {
    "vocab_size": 20,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 6,
    "num_labels": 2,
    "hidden_dropout_prob": 0.2,
    "attention_probs_dropout_prob": 0.1,
}


def step(module: nn.Module, base: BertForSequenceClassification) -> tuple[str, Tensor, Any]:
    """Return the path of a training step, its logits, and the gradients of trained parameters."""
    ids_T = torch.arange(2, 2 + int(LENGTHS.sum()))
    with packed_model(module, base, dropout_seed=3).active() as packed:
        logits_BC = packed(ragged(ids_T, LENGTHS), step=2)
        module.zero_grad()
        cross_entropy(logits_BC, torch.tensor([0, 1, 0])).backward()
    named = module.named_parameters()
    found = {name: p.grad.clone() for name, p in named if p.grad is not None}
    return packed.path, logits_BC.detach(), found


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_step_with_dropout_equals_the_plain_twins(
    method: str, interpreted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    base = BertForSequenceClassification(BertConfig(**TINY))
    with torch.no_grad():
        for parameter in base.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    module = with_method(base, method).train()
    path, logits_BC, found = step(module, base)
    assert "Triton kernels" in path
    monkeypatch.setattr(backends, "BACKENDS", ())
    path, expected_BC, expected = step(module, base)
    assert "plain kernels" in path
    torch.testing.assert_close(logits_BC, expected_BC, rtol=1e-5, atol=1e-5)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5, msg=name)
    module.eval()
    _, without_BC, _ = step(module, base)
    assert not torch.allclose(without_BC, expected_BC)  # else nothing was dropped
