"""Selective methods train what their papers say, on every kind of model, or say why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.errors import UserError
from peftlab.methods.changed_tensors import DESCRIPTION_FILE, TENSORS_FILE
from peftlab.methods.parameters import count_parameters
from peftlab.methods.registry import METHODS
from peftlab.models.head import head_parameter_names
from tests.methods.architectures import tiny_model

BASE = "google-bert/bert-base-uncased"
LARGE = "google-bert/bert-large-uncased"


@pytest.mark.parametrize(
    ("model", "method", "given", "backbone"),
    [
        # 0.08% and 0.04% of BERT-large, as in tables 2 and 3 of the BitFit paper
        (LARGE, "bitfit", {}, 24 * 11 * 1_024 + 2 * 1_024),
        (LARGE, "bitfit", {"biases": "query-intermediate"}, 24 * (1_024 + 4_096)),
        (BASE, "bitfit", {"biases": "query-intermediate"}, 12 * (768 + 3_072)),
        (BASE, "layernorm", {}, 25 * 2 * 768),
        # a layer of BERT-base has 7,087,872 parameters, its pooler 590,592
        (BASE, "top-layers", {"num_layers": 1}, 7_087_872 + 590_592),
        (BASE, "top-layers", {"num_layers": 3}, 3 * 7_087_872 + 590_592),
        (BASE, "full", {"freeze_embeddings": True}, 12 * 7_087_872 + 590_592),
    ],
)
def test_as_many_train_as_the_papers_and_arithmetic_say(
    model: str, method: str, given: dict[str, Any], backbone: int
) -> None:
    count = count_parameters(model, method, METHODS.get(method).resolve(given))
    assert count.backbone == backbone
    head = 2 * (1_024 if model == LARGE else 768) + 2
    assert (count.adapter, count.head, count.trainable) == (0, head, backbone + head)


def trained(model_type: str, method: str, given: dict[str, Any]) -> set[str]:
    """Return the names of the base model's parameters that train."""
    model = tiny_model(model_type)
    chosen = METHODS.get(method)
    chosen.apply(model, chosen.resolve(given), seed=0)
    names = {name for name, one in model.named_parameters() if one.requires_grad}
    head = {*head_parameter_names(model)}
    assert head <= names
    return names - head


@pytest.mark.parametrize(
    ("model_type", "query", "intermediate"),
    [
        ("bert", "attention.self.query", "intermediate.dense"),
        ("distilbert", "attention.q_lin", "ffn.lin1"),
        ("mpnet", "attention.attn.q", "intermediate.dense"),
        ("deberta-v2", "attention.self.query_proj", "intermediate.dense"),
        ("albert", "attention.query", "ffn"),
        ("opt", "self_attn.q_proj", "fc1"),
    ],
)
def test_query_and_intermediate_biases_are_one_of_each_a_layer(
    model_type: str, query: str, intermediate: str
) -> None:
    found = trained(model_type, "bitfit", {"biases": "query-intermediate"})
    num_layers = 1 if model_type == "albert" else 2
    assert len(found) == 2 * num_layers
    for ending in (f".{query}.bias", f".{intermediate}.bias"):
        assert sum(name.endswith(ending) for name in found) == num_layers


@pytest.mark.parametrize(
    ("model_type", "method", "given", "words"),
    [
        ("llama", "bitfit", {}, "the architecture llama has no bias terms"),
        ("gpt2", "bitfit", {"biases": "query-intermediate"}, "no biases of query projections"),
        ("albert", "top-layers", {}, "the architecture albert has no layers one above another"),
        ("bert", "top-layers", {"num_layers": 3}, "the model has 2 (allowed: 1 to 2)"),
    ],
)
def test_what_a_model_does_not_have_cannot_be_chosen(
    model_type: str, method: str, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        trained(model_type, method, given)
    assert words in str(caught.value)


@pytest.mark.parametrize("model_type", ["bert", "distilbert", "gpt2", "llama"])
def test_the_uppermost_layer_is_the_last_one(model_type: str) -> None:
    found = trained(model_type, "top-layers", {"num_layers": 1})
    assert any(".1." in name for name in found)
    assert not any(".0." in name or "emb" in name or "wte" in name for name in found)


@pytest.mark.parametrize(
    ("method", "given", "words"),
    [
        ("bitfit", {"biases": "some"}, "biases = 'some' is not valid (allowed: all, query-int"),
        ("full", {"freeze_embeddings": "no"}, "freeze_embeddings = 'no' is not valid (allowed: tr"),
        ("top-layers", {"num_layers": 0}, "num_layers = 0 is not valid (allowed: 1 or more, at"),
        ("top-layers", {"num_layer": 2}, "did you mean 'num_layers'?"),
    ],
)
def test_a_wrong_setting_is_named(method: str, given: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        METHODS.get(method).resolve(given, where="arms.a")
    assert str(caught.value).startswith("arms.a: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (DESCRIPTION_FILE, b"[]", "not of this method"),
        (DESCRIPTION_FILE, b'{"method": "full", "tensors": []}', "not of this method"),
        (DESCRIPTION_FILE, b'{"method": "head", "tensors": [1]}', "tensors is not a list of names"),
        (DESCRIPTION_FILE, b"{", "not the description of a method"),
        (DESCRIPTION_FILE, b'{"method": "head", "tensors": ["a"]}', "'a' is missing"),
        (TENSORS_FILE, b"\0" * 20, "cannot load the trained tensors"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(
    name: str, content: bytes, words: str, tmp_path: Path
) -> None:
    method = METHODS.get("head")
    method.save(method.apply(tiny_model("bert"), {}, seed=0), tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        method.load(tiny_model("bert"), tmp_path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_earlier_versions_saved_is_read(tmp_path: Path) -> None:
    method = METHODS.get("bitfit")
    method.save(method.apply(tiny_model("bert"), {}, seed=0), tmp_path)
    description = json.loads((tmp_path / DESCRIPTION_FILE).read_text())
    assert description.keys() == {"method", "tensors"}
    method.load(tiny_model("bert"), tmp_path)
