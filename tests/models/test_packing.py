"""A packed batch gives the logits and gradients of the padded one, and examples never mix."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from peftlab.methods.registry import METHODS
from peftlab.models.packing import Layout, PackedModel, why_not_packed

LENGTHS = torch.tensor([5, 11, 2, 11, 7, 1])
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
}


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


def padded_logits(module: nn.Module, ids_T: Tensor, lengths_B: Tensor) -> Tensor:
    examples = ids_T.split(lengths_B.tolist())
    ids_BL = nn.utils.rnn.pad_sequence(list(examples), batch_first=True, padding_value=1)
    mask_BL = (torch.arange(ids_BL.shape[1]) < lengths_B[:, None]).long()
    logits: Tensor = module(input_ids=ids_BL, attention_mask=mask_BL).logits
    return logits


def random_ids(total: int) -> Tensor:
    return torch.randint(2, 50, (total,), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_packed_logits_and_gradients_equal_padded_ones(model_type: str, method: str) -> None:
    base = tiny_model(model_type).double()
    chosen = METHODS.get(method)
    module = chosen.apply(base, chosen.resolve({}), seed=3).double()
    if method == "lora":
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(generator=torch.Generator().manual_seed(4))
    ids_T = random_ids(int(LENGTHS.sum()))
    labels_B = torch.tensor([0, 1, 2, 0, 1, 2])

    def gradients(logits_BC: Tensor) -> dict[str, Tensor]:
        module.zero_grad()
        cross_entropy(logits_BC, labels_B).backward()
        return {
            name: parameter.grad.clone()
            for name, parameter in module.named_parameters()
            if parameter.grad is not None
        }

    expected = padded_logits(module, ids_T, LENGTHS)
    expected_gradients = gradients(expected)
    with PackedModel(module, base).active() as packed:
        logits = packed(ids_T, None, LENGTHS)
        found_gradients = gradients(logits)
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-11)
    assert found_gradients.keys() == expected_gradients.keys()
    for name, expected_gradient in expected_gradients.items():
        torch.testing.assert_close(
            found_gradients[name], expected_gradient, rtol=1e-8, atol=1e-11, msg=name
        )


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_an_example_does_not_see_its_neighbours(model_type: str) -> None:
    base = tiny_model(model_type)
    ids_T = random_ids(int(LENGTHS.sum()))
    other_T = ids_T.clone()
    other_T[5:16] = 2 + (other_T[5:16] + 3) % 48  # the second example
    with PackedModel(base, base).active() as packed, torch.no_grad():
        before, after = packed(ids_T, None, LENGTHS), packed(other_T, None, LENGTHS)
    untouched = [0, 2, 3, 4, 5]
    assert torch.equal(before[untouched], after[untouched])
    assert not torch.allclose(before[1], after[1])


def test_token_types_reach_the_packed_model() -> None:
    base = tiny_model("bert")
    ids_T = random_ids(6)
    with PackedModel(base, base).active() as packed, torch.no_grad():
        lengths = torch.tensor([6])
        first = packed(ids_T, torch.tensor([0, 0, 0, 1, 1, 1]), lengths)
        second = packed(ids_T, torch.tensor([0, 0, 0, 0, 0, 0]), lengths)
    assert not torch.allclose(first, second)


def test_the_model_is_the_stock_one_again_afterwards() -> None:
    base = tiny_model("bert")
    ids_T = random_ids(int(LENGTHS.sum()))
    expected = padded_logits(base, ids_T, LENGTHS)
    before = base.config._attn_implementation
    with PackedModel(base, base).active() as packed:
        packed(ids_T, None, LENGTHS)
    assert base.config._attn_implementation == before
    assert torch.equal(padded_logits(base, ids_T, LENGTHS), expected)


def test_a_layout_places_every_token() -> None:
    layout = Layout.of(torch.tensor([2, 3]))
    assert layout.starts_B.tolist() == [0, 2]
    assert layout.position_T.tolist() == [0, 1, 0, 1, 2]
    assert layout.padded_T.tolist() == [0, 1, 3, 4, 5]
    assert layout.mask_B11L is not None
    assert layout.mask_B11L[:, 0, 0].tolist() == [[True, True, False], [True, True, True]]
    assert Layout.of(torch.tensor([3, 3])).mask_B11L is None


def test_a_model_that_cannot_be_packed_says_why() -> None:
    config = AutoConfig.for_model("albert", hidden_size=8, num_attention_heads=2, vocab_size=9)
    model = AutoModelForSequenceClassification.from_config(config)
    assert why_not_packed(model) == "the architecture albert is not among those that pack"
    with pytest.raises(ValueError, match="albert"):
        PackedModel(model, model)
