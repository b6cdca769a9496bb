"""Layers, norms and embeddings are found by structure, in every family of models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from peftlab.core.errors import UserError
from peftlab.models.layers import (
    embedding_parameter_names,
    layer_names,
    norm_parameter_names,
    top_parameter_names,
)

NARROW = {
    "vocab_size": 20,
    "hidden_size": 8,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 16,
}
DECODER = {**NARROW, "num_key_value_heads": 2, "head_dim": 4, "pad_token_id": 0}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "bert": NARROW,
    "roberta": NARROW,
    "electra": {**NARROW, "embedding_size": 6},
    "mpnet": NARROW,
    "distilbert": {"vocab_size": 20, "dim": 8, "n_layers": 3, "n_heads": 2, "hidden_dim": 12},
    "deberta": NARROW,
    "deberta-v2": {**NARROW, "relative_attention": True, "norm_rel_ebd": "layer_norm"},
    "mobilebert": {**NARROW, "embedding_size": 8, "intra_bottleneck_size": 4},
    "modernbert": {**NARROW, "pad_token_id": 0},
    "xlnet": {"vocab_size": 20, "d_model": 8, "n_layer": 3, "n_head": 2, "d_inner": 12},
    "gpt2": {"vocab_size": 20, "n_embd": 8, "n_layer": 3, "n_head": 2, "n_positions": 16},
    "opt": {**NARROW, "ffn_dim": 12, "word_embed_proj_dim": 8},
    "llama": DECODER,
    "qwen3": DECODER,
}


def tiny_model(model_type: str, **changes: Any) -> PreTrainedModel:
    """On the device "meta": names and shapes alone."""
    sizes = {**ARCHITECTURES.get(model_type, {}), **changes}
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForSequenceClassification.from_config(
            AutoConfig.for_model(model_type, **sizes)
        )
    return model


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_layers_are_of_one_kind_and_numbered_from_the_lowest(model_type: str) -> None:
    model = tiny_model(model_type)
    names = layer_names(model)
    assert [name.rpartition(".")[2] for name in names] == ["0", "1", "2"]
    layers = [model.get_submodule(name) for name in names]
    assert len({type(layer) for layer in layers}) == 1
    first, *others = [{name for name, _ in layer.named_parameters()} for layer in layers]
    # ModernBERT's first layer has no norm before its attention.
    assert all(first <= other for other in others)


@pytest.mark.parametrize("model_type", ["albert", "t5", "bart"])
def test_where_no_list_of_layers_is_the_models_a_line_says_so(model_type: str) -> None:
    changes: dict[str, Any] = {**NARROW, "num_hidden_layers": 12}
    if model_type == "t5":
        changes = {"num_layers": 2, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_heads": 2}
    if model_type == "bart":
        changes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "vocab_size": 20}
    with pytest.raises(UserError, match=f"the architecture {model_type} has no layers one above"):
        layer_names(tiny_model(model_type, **changes))


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_the_top_is_what_the_lower_layers_and_embeddings_are_not(model_type: str) -> None:
    model = tiny_model(model_type)
    found = top_parameter_names(model, 2)
    lowest, *upper = (f"{name}." for name in layer_names(model))
    above = {name for name in found if not name.startswith(tuple(upper))}
    assert all("pooler" in name or "norm" in name.lower() or "ln_f" in name for name in above)
    embeddings = embedding_parameter_names(model)
    # What all layers read: DeBERTa's norm of relative positions, XLNet's vector of a masked word.
    of_all = ("deberta.encoder.LayerNorm.", "transformer.mask_emb")
    left_out = {
        name
        for name, _ in model.base_model.named_parameters(prefix=model.base_model_prefix)
        if name not in found
    }
    for name in left_out:
        assert name in embeddings or name.startswith((lowest, *of_all)), name


@pytest.mark.parametrize("num_layers", [0, 4])
def test_no_more_layers_than_there_are(num_layers: int) -> None:
    with pytest.raises(UserError, match=r"the model has 3 \(allowed: 1 to 3\)"):
        top_parameter_names(tiny_model("bert"), num_layers)


def test_norms_are_told_by_their_class_whatever_they_are_called() -> None:
    assert "distilbert.transformer.layer.0.sa_layer_norm.weight" in norm_parameter_names(
        tiny_model("distilbert")
    )
    assert "transformer.ln_f.bias" in norm_parameter_names(tiny_model("gpt2"))
    of_llama = norm_parameter_names(tiny_model("llama"))
    assert of_llama == {
        "model.norm.weight",
        *(
            f"model.layers.{index}.{name}.weight"
            for index in range(3)
            for name in ("input_layernorm", "post_attention_layernorm")
        ),
    }


def test_embeddings_are_all_between_ids_and_the_first_layer() -> None:
    assert {name.split(".")[1] for name in embedding_parameter_names(tiny_model("electra"))} == {
        "embeddings",
        "embeddings_project",
    }
    assert embedding_parameter_names(tiny_model("gpt2")) == {
        "transformer.wte.weight",
        "transformer.wpe.weight",
    }
    assert embedding_parameter_names(tiny_model("llama")) == {"model.embed_tokens.weight"}
    of_bert = embedding_parameter_names(tiny_model("bert"))
    assert "bert.embeddings.LayerNorm.weight" in of_bert
    assert len(of_bert) == 5
