"""The number of frozen blocks follows from what trains in them, whatever put it there."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from peftlab.methods.registry import METHODS
from peftlab.models.families import FAMILIES
from peftlab.models.family import Way
from peftlab.models.fused.blocks import embeddings_of, layers_of, num_frozen_blocks

NARROW = {"vocab_size": 20, "num_hidden_layers": 3, "hidden_size": 8, "num_attention_heads": 2}


def tiny_model(model_type: str = "bert", **changes: Any) -> PreTrainedModel:
    config = AutoConfig.for_model(model_type, **{**NARROW, "intermediate_size": 8, **changes})
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
    return model


def frozen(base: PreTrainedModel) -> PreTrainedModel:
    base.requires_grad_(False)
    return base


@pytest.mark.parametrize(
    "model_type", [family.model_type for family in FAMILIES if family.way is Way.FUSED]
)
def test_without_anything_that_trains_all_blocks_are_frozen(model_type: str) -> None:
    changes = {"n_layers": 3, "dim": 8, "n_heads": 2, "hidden_dim": 8}
    base = frozen(tiny_model(model_type, **(changes if model_type == "distilbert" else {})))
    assert num_frozen_blocks(base) == len(layers_of(base)) == 3


@pytest.mark.parametrize("block", [0, 1, 2])
def test_a_single_trainable_bias_ends_them(block: int) -> None:
    base = frozen(tiny_model())
    dict(layers_of(base)[block].named_parameters())["output.dense.bias"].requires_grad_(True)
    assert num_frozen_blocks(base) == block


def test_a_frozen_block_above_a_trainable_one_does_not_count() -> None:
    base = frozen(tiny_model())
    layers_of(base)[0].requires_grad_(True)
    assert num_frozen_blocks(base) == 0


def test_where_the_embeddings_train_none_are_frozen() -> None:
    base = frozen(tiny_model())
    dict(embeddings_of(base)[0].named_parameters())["LayerNorm.bias"].requires_grad_(True)
    assert num_frozen_blocks(base) == 0


def test_what_widens_electras_embeddings_is_a_part_of_them() -> None:
    base = frozen(tiny_model("electra", embedding_size=4))
    dict(embeddings_of(base)[1].named_parameters())["bias"].requires_grad_(True)
    assert num_frozen_blocks(base) == 0


def test_an_adapter_that_does_not_train_is_not_the_checkpoints_own() -> None:
    base = tiny_model()
    lora = METHODS.get("lora")
    module = lora.apply(base, lora.resolve({"layers_to_transform": [1]}), seed=0)
    assert num_frozen_blocks(base) == 1
    module.requires_grad_(False)
    assert num_frozen_blocks(base) == 1
