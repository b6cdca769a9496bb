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
    layers_below_top,
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
    """Return a model on the device "meta", with names and shapes alone."""
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


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_each_parameter_is_as_many_layers_below_the_top_as_its_place_says(model_type: str) -> None:
    model = tiny_model(model_type)
    found = layers_below_top(model)
    names = layer_names(model)
    assert found.keys() == {name for name, _ in model.named_parameters()}
    for name, below in found.items():
        in_layer = [place for place, layer in enumerate(names) if name.startswith(f"{layer}.")]
        if in_layer:
            assert below == 2 - in_layer[0], name
    head = {name for name in found if not name.startswith(f"{model.base_model_prefix}.")}
    assert head
    assert {found[name] for name in head} == {0}
    # The lowest level is that of what turns ids into vectors, of which every family has a table.
    lowest = {name for name, below in found.items() if below == 3}
    tables = {
        f"{path}.weight"
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.Embedding) and path.startswith(model.base_model_prefix)
    }
    of_layers = tuple(f"{name}." for name in names)
    assert {table for table in tables if not table.startswith(of_layers)} <= lowest


def test_the_levels_of_one_model_are_those_written_down() -> None:
    found = layers_below_top(tiny_model("bert"))
    assert found["bert.embeddings.word_embeddings.weight"] == 3
    assert found["bert.embeddings.LayerNorm.bias"] == 3
    assert found["bert.encoder.layer.0.attention.self.query.weight"] == 2
    assert found["bert.encoder.layer.2.output.LayerNorm.weight"] == 0
    assert found["bert.pooler.dense.weight"] == found["classifier.bias"] == 0
    gpt2 = layers_below_top(tiny_model("gpt2"))
    assert gpt2["transformer.wpe.weight"] == 3
    assert gpt2["transformer.ln_f.weight"] == 0
    deberta = layers_below_top(tiny_model("deberta-v2"))
    assert deberta["deberta.encoder.LayerNorm.weight"] == 3  # it is that of relative positions
    assert deberta["deberta.encoder.rel_embeddings.weight"] == 3


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
