"""Every family, when packed, gives the numbers of transformers, or is padded and says why."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from peftlab.models.families import FAMILIES, family_of, takes_token_types, why_padded
from peftlab.models.family import Pooling, Way
from peftlab.models.packing import packed_model, why_not_packed
from peftlab.models.padding import PaddedModel
from tests.models.tiny import CONFIGS, VARIANTS, gradients, ragged, tiny_model, with_method

LENGTHS = np.array([5, 11, 2, 11, 7, 1])
PACKED = [family.model_type for family in FAMILIES if family.way is not Way.PADDED]
DECODERS = [name for name in PACKED if FAMILIES.get(name).pooling is Pooling.LAST]
DROPS_BY_TORCH = {"opt", "biogpt", "starcoder2"}
"""The families whose forward calls torch's dropout as a function, which the counter cannot
replace."""


def random_ids() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(3, 50, (int(LENGTHS.sum()),), generator=generator)


def padded_inputs(ids_T: Tensor, *, in_front: bool) -> dict[str, Tensor]:
    side = "left" if in_front else "right"
    rows = list(ids_T.split(LENGTHS.tolist()))
    ids_BL = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=1, padding_side=side)
    ones = [torch.ones_like(row) for row in rows]
    mask_BL = nn.utils.rnn.pad_sequence(ones, batch_first=True, padding_side=side)
    return {"input_ids": ids_BL, "attention_mask": mask_BL}


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    """Assert closeness relative to each tensor's largest entry."""
    assert found.keys() == expected.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        scale = max(float(gradient.abs().max()), 1e-2 * largest)
        assert float((found[name] - gradient).abs().max()) < tolerance * scale, name


def test_every_family_has_a_tiny_model() -> None:
    assert [*CONFIGS] == FAMILIES.names()


@pytest.mark.parametrize("name", [*FAMILIES.names(), *VARIANTS])
def test_a_family_packs_or_says_why_not(name: str) -> None:
    model = tiny_model(name)
    family = FAMILIES.get(model.config.model_type)
    reason = why_not_packed(model)
    assert (reason is None) == (family.way is not Way.PADDED)
    assert reason == why_padded(family)
    if reason is not None:
        with pytest.raises(ValueError, match=family.model_type):
            packed_model(model, model)


@pytest.mark.parametrize("name", [*FAMILIES.names(), *VARIANTS])
def test_padded_logits_are_those_of_the_stock_model(name: str) -> None:
    model = tiny_model(name)
    ids_T = random_ids()
    inputs = padded_inputs(ids_T, in_front=name == "xlnet")
    with torch.no_grad():
        expected = model(**inputs).logits
        with PaddedModel(model, model).active() as padded:
            found = padded(ragged(ids_T, LENGTHS))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("name", [*PACKED, *VARIANTS])
def test_packed_logits_and_gradients_equal_padded_ones(name: str, method: str) -> None:
    """They are computed in double precision, except what a model itself computes in single."""
    base = tiny_model(name).double()
    module = with_method(base, method).double()
    ids_T = random_ids()
    with PaddedModel(module, base).active() as padded:
        expected = padded(ragged(ids_T, LENGTHS))
        expected_gradients = gradients(module, expected)
    with packed_model(module, base).active() as packed:
        logits = packed(ragged(ids_T, LENGTHS))
        found_gradients = gradients(module, logits)
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-6)
    assert_close(found_gradients, expected_gradients, 1e-6)


@pytest.mark.parametrize("name", [*PACKED, *VARIANTS])
def test_an_example_does_not_see_its_neighbours(name: str) -> None:
    base = tiny_model(name)
    ids_T = random_ids()
    other_T = ids_T.clone()
    other_T[5:16] = 3 + (other_T[5:16] + 3) % 47  # the second example
    with packed_model(base, base).active() as packed, torch.no_grad():
        before, after = packed(ragged(ids_T, LENGTHS)), packed(ragged(other_T, LENGTHS))
    rest = [0, 2, 3, 4, 5]
    torch.testing.assert_close(before[rest], after[rest], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(before[1], after[1], rtol=1e-2)


@pytest.mark.parametrize("name", [name for name in PACKED if name not in DROPS_BY_TORCH])
def test_with_dropout_packed_and_padded_drop_the_same(name: str) -> None:
    base = tiny_model(name, dropout=0.2).train()
    ids_T = random_ids()
    with PaddedModel(base, base, dropout_seed=7).active() as padded:
        expected = padded(ragged(ids_T, LENGTHS), step=3)
        expected_gradients = gradients(base, expected)
    with packed_model(base, base, dropout_seed=7).active() as packed:
        logits = packed(ragged(ids_T, LENGTHS), step=3)
        found_gradients = gradients(base, logits)
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)
    assert_close(found_gradients, expected_gradients, 1e-2)


@pytest.mark.parametrize(
    "name", [name for name in PACKED if FAMILIES.get(name).pooling == "last token"]
)
def test_what_stands_for_padding_changes_no_number_of_a_decoder(name: str) -> None:
    """This holds even if a row ends with it, where transformers would read an earlier token."""
    model = tiny_model(name)
    model.config.pad_token_id = None
    ids_T = random_ids()
    last = int(ids_T[-1])
    with torch.no_grad(), PaddedModel(model, model).active() as padded:
        model.config.pad_token_id = 1
        expected = padded(ragged(ids_T, LENGTHS))
        model.config.pad_token_id = last
        assert torch.equal(padded(ragged(ids_T, LENGTHS)), expected)


def test_a_model_that_is_told_to_be_a_decoder_is_padded() -> None:
    model = tiny_model("bert")
    model.config.is_decoder = True
    assert why_not_packed(model) == "the model is configured as a decoder"


def test_an_architecture_that_is_not_tested_is_padded() -> None:
    assert (
        why_padded(family_of("nezha"))
        == "the architecture nezha is not among those that are tested to pack"
    )


def test_models_without_embeddings_of_token_types_are_given_none() -> None:
    takers = {name for name in FAMILIES.names() if takes_token_types(tiny_model(name))}
    assert {"bert", "electra", "xlnet", "gpt2"} <= takers
    assert not takers & {"distilbert", "modernbert", "deberta", "deberta-v2", "mpnet", "llama"}


def test_modernbert_is_read_as_its_config_says() -> None:
    family = FAMILIES.get("modernbert")
    assert family.pooling_by(tiny_model("modernbert").config) == "first token"
    assert family.pooling_by(tiny_model("modernbert, mean").config) == "mean of all tokens"
