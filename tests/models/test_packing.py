"""A packed batch gives the logits and gradients of the padded one, and examples never mix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from peftlab.models.families import FAMILIES
from peftlab.models.family import Way
from peftlab.models.fused.batch import PackedBatch
from peftlab.models.fused.blocks import embeddings_of, layers_of
from peftlab.models.fused_model import FusedModel
from peftlab.models.packing import packed_model, why_not_packed
from peftlab.models.padding import PaddedModel
from tests.models.tiny import gradients, ragged, with_method

LENGTHS = np.array([5, 11, 2, 11, 7, 1])
NARROW = {
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 20,
    "pad_token_id": 1,
}
ARCHITECTURES = {
    "bert": NARROW,
    "roberta": NARROW,
    "xlm-roberta": NARROW,
    "camembert": NARROW,
    "electra": {**NARROW, "embedding_size": 16},
    "distilbert": {
        "vocab_size": 50,
        "dim": 24,
        "n_layers": 2,
        "n_heads": 3,
        "hidden_dim": 40,
        "max_position_embeddings": 20,
        "pad_token_id": 1,
    },
    # without fused blocks
    "albert": {**NARROW, "embedding_size": 16},
    "data2vec-text": NARROW,
    "ernie": NARROW,
    "roberta-prelayernorm": NARROW,
    "xlm-roberta-xl": NARROW,
}

FUSED = [family.model_type for family in FAMILIES if family.way is Way.FUSED]
WAYS = [(name, True) for name in FUSED] + [(name, False) for name in ARCHITECTURES]
"""Every architecture with its stock blocks, and with fused blocks if it has them."""


def tiny_model(model_type: str, *, dropout: float = 0.0) -> PreTrainedModel:
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **ARCHITECTURES[model_type])
    for name in list(config.to_dict()):
        if "dropout" in name:
            setattr(config, name, dropout)
    config.num_labels = 3
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            # Wide weights, so that a wrong mask shows: at initial ones it hardly moves the loss.
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model.eval()


def padded_inputs(ids_T: Tensor) -> dict[str, Tensor]:
    examples = ids_T.split(LENGTHS.tolist())
    ids_BL = nn.utils.rnn.pad_sequence(list(examples), batch_first=True, padding_value=1)
    mask_BL = (torch.arange(ids_BL.shape[1]) < torch.from_numpy(LENGTHS)[:, None]).long()
    return {"input_ids": ids_BL, "attention_mask": mask_BL}


def padded_logits(module: nn.Module, ids_T: Tensor) -> Tensor:
    logits: Tensor = module(**padded_inputs(ids_T)).logits
    return logits


def random_ids(total: int) -> Tensor:
    return torch.randint(2, 50, (total,), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("method", ["full", "lora", "bitfit"])
@pytest.mark.parametrize(("model_type", "is_fused"), WAYS)
def test_packed_logits_and_gradients_equal_padded_ones(
    model_type: str, method: str, is_fused: bool
) -> None:
    """They are computed in double precision, by the plain twins of the kernels."""
    base = tiny_model(model_type).double()
    module = with_method(base, method).double()
    ids_T = random_ids(int(LENGTHS.sum()))
    expected = padded_logits(module, ids_T)
    expected_gradients = gradients(module, expected)
    with packed_model(module, base, fused=is_fused).active() as packed:
        logits = packed(ragged(ids_T, LENGTHS))
        found_gradients = gradients(module, logits)
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-11)
    assert found_gradients.keys() == expected_gradients.keys()
    for name, expected_gradient in expected_gradients.items():
        torch.testing.assert_close(
            found_gradients[name], expected_gradient, rtol=1e-8, atol=1e-11, msg=name
        )


# Settings of peft methods that wrap a block's parts in their own ways.
WRAPPED: list[tuple[str, dict[str, Any]]] = [
    ("full", {}),
    ("bitfit", {}),
    ("lora", {"r": 4, "lora_dropout": 0.3}),
    ("lora", {"r": 4, "lora_dropout": 0.3, "target_modules": "all-linear"}),
    ("lora", {"r": 4, "use_dora": True}),
    ("lora", {"r": 4, "bias": "all"}),
]


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-9), (torch.float32, 1e-3)],
    ids=["plain", "compiled"],
)
@pytest.mark.parametrize(("method", "given"), WRAPPED)
@pytest.mark.parametrize(("model_type", "is_fused"), WAYS)
def test_with_dropout_packed_and_padded_drop_the_same(
    model_type: str,
    method: str,
    given: dict[str, Any],
    is_fused: bool,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    """The plain twins compute in double precision, the kernels in single."""
    base = tiny_model(model_type, dropout=0.2).to(dtype)
    module = with_method(base, method, **given).to(dtype).train()
    ids_T = random_ids(int(LENGTHS.sum()))
    with PaddedModel(module, base, dropout_seed=7).active() as padded:
        expected = padded(ragged(ids_T, LENGTHS), step=3)
        expected_gradients = gradients(module, expected)
        other = padded(ragged(ids_T, LENGTHS), step=4)
    with packed_model(module, base, dropout_seed=7, fused=is_fused).active() as packed:
        logits = packed(ragged(ids_T, LENGTHS), step=3)
        found_gradients = gradients(module, logits)
    torch.testing.assert_close(logits, expected, rtol=0.1 * tolerance, atol=0.1 * tolerance)
    assert not torch.allclose(other, expected, rtol=1e-2)
    assert found_gradients.keys() == expected_gradients.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected_gradients.values())
    for name, expected_gradient in expected_gradients.items():
        error = float((found_gradients[name] - expected_gradient).abs().max())
        assert error < tolerance * max(float(expected_gradient.abs().max()), 1e-2 * largest), name


@pytest.mark.parametrize("model_type", ["bert", "distilbert"])
def test_a_batch_in_parts_drops_what_the_whole_drops(model_type: str) -> None:
    base = tiny_model(model_type, dropout=0.2).train()
    ids_T = random_ids(int(LENGTHS.sum()))
    with packed_model(base, base).active() as packed:
        whole = packed(ragged(ids_T, LENGTHS), step=1)
        first = packed(ragged(ids_T[:18], LENGTHS[:3]), step=1)
        rest = packed(ragged(ids_T[18:], LENGTHS[3:]), step=1, first_example=3)
        wrong = packed(ragged(ids_T[18:], LENGTHS[3:]), step=1)
    torch.testing.assert_close(torch.cat([first, rest]), whole, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(wrong, whole[3:], rtol=1e-2)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_an_example_does_not_see_its_neighbours(model_type: str) -> None:
    base = tiny_model(model_type)
    ids_T = random_ids(int(LENGTHS.sum()))
    other_T = ids_T.clone()
    other_T[5:16] = 2 + (other_T[5:16] + 3) % 48  # the second example
    with packed_model(base, base).active() as packed, torch.no_grad():
        before, after = packed(ragged(ids_T, LENGTHS)), packed(ragged(other_T, LENGTHS))
    untouched = [0, 2, 3, 4, 5]
    assert torch.equal(before[untouched], after[untouched])
    assert not torch.allclose(before[1], after[1])


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-10), (torch.float32, 1e-4)],
    ids=["plain", "compiled"],
)
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("model_type", FUSED)
def test_from_the_states_of_the_lower_blocks_come_the_logits_of_the_whole(
    model_type: str, depth: int, dtype: torch.dtype, tolerance: float
) -> None:
    base = tiny_model(model_type).to(dtype)
    for parameter in [*embeddings_of(base), *layers_of(base)[:depth]]:
        parameter.requires_grad_(False)
    ids_T = random_ids(int(LENGTHS.sum()))
    with FusedModel(base, base).active() as packed:
        expected = packed(ragged(ids_T, LENGTHS))
        expected_gradients = gradients(base, expected)
        states = packed.states(ragged(ids_T, LENGTHS), depth=depth).clone()
        logits = packed.from_states(states, LENGTHS, depth=depth)
        found_gradients = gradients(base, logits)
        again = packed(ragged(ids_T, LENGTHS))
    assert states.shape == ((len(ids_T), 24) if depth == 1 else (len(LENGTHS), 24))
    torch.testing.assert_close(logits, expected, rtol=tolerance, atol=tolerance)
    assert torch.equal(again, expected), "the next batch begins with the embeddings again"
    assert found_gradients.keys() == expected_gradients.keys()
    for name, expected_gradient in expected_gradients.items():
        torch.testing.assert_close(
            found_gradients[name], expected_gradient, rtol=tolerance, atol=10 * tolerance
        )


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("model_type", ["bert", "electra", "distilbert"])
def test_with_dropout_states_are_of_eval_mode_and_what_is_above_drops_as_ever(
    model_type: str, depth: int
) -> None:
    base = tiny_model(model_type, dropout=0.2).train()
    ids_T = random_ids(int(LENGTHS.sum()))
    with FusedModel(base, base, dropout_seed=7).active() as packed, torch.no_grad():
        states = packed.states(ragged(ids_T, LENGTHS), depth=depth)
        assert base.training
        assert all(module.training for module in base.modules())
        found = packed.from_states(states, LENGTHS, depth=depth, step=3)
        part = packed.from_states(
            states[18:] if depth == 1 else states[3:],
            LENGTHS[3:],
            depth=depth,
            step=3,
            first_example=3,
        )
        for module in (*embeddings_of(base), *layers_of(base)[:depth]):
            module.eval()
        expected = packed(ragged(ids_T, LENGTHS), step=3)
        other = packed(ragged(ids_T, LENGTHS), step=4)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(part, expected[3:], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found, other, rtol=1e-2), "dropout is there"


def test_token_types_reach_the_packed_model() -> None:
    base = tiny_model("bert")
    ids_T = random_ids(6)
    with packed_model(base, base).active() as packed, torch.no_grad():
        lengths = np.array([6])
        first = packed(ragged(ids_T, lengths, torch.tensor([0, 0, 0, 1, 1, 1])))
        second = packed(ragged(ids_T, lengths, torch.tensor([0, 0, 0, 0, 0, 0])))
    assert not torch.allclose(first, second)


def test_the_model_is_the_stock_one_again_afterwards() -> None:
    base = tiny_model("bert")
    ids_T = random_ids(int(LENGTHS.sum()))
    expected = padded_logits(base, ids_T)
    before = base.config._attn_implementation
    with packed_model(base, base).active() as packed:
        packed(ragged(ids_T, LENGTHS))
    assert base.config._attn_implementation == before
    assert not any("forward" in vars(module) for module in base.modules())
    assert torch.equal(padded_logits(base, ids_T), expected)


def test_a_packed_batch_knows_where_every_token_is_from() -> None:
    batch = PackedBatch.of(np.array([2, 3]), first_example=10)
    assert batch.pooled_B.tolist() == [0, 2]
    assert batch.last_B.tolist() == [1, 4]
    assert batch.token_rows.example_R.tolist() == [10, 10, 11, 11, 11]
    assert batch.token_rows.position_R.tolist() == [0, 1, 0, 1, 2]
    assert batch.token_spans.key_offsets.tolist() == [0, 2, 5]
    assert batch.pooled_spans.query_offsets.tolist() == [0, 1, 2]
    assert set(batch.rows) == {2, 5}
    assert (batch.num_examples, batch.first_example) == (2, 10)


def test_a_model_that_cannot_be_packed_says_why() -> None:
    config = AutoConfig.for_model("mpnet", hidden_size=8, num_attention_heads=2, vocab_size=9)
    model = AutoModelForSequenceClassification.from_config(config)
    assert (
        why_not_packed(model) == "mpnet: its attention, with a bias for each distance, is its own"
    )
    with pytest.raises(ValueError, match="mpnet"):
        packed_model(model, model)
