"""Bottleneck adapters stand where their papers put them, in every kind of model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, gelu, layer_norm, relu
from transformers import PreTrainedModel

from peftlab.core.errors import UserError
from peftlab.engine.classifier import build_classifier
from peftlab.methods.changed_tensors import DESCRIPTION_FILE, TENSORS_FILE
from peftlab.methods.parameters import count_parameters
from peftlab.methods.registry import METHODS
from peftlab.models.bottleneck import AdaptedNorm, AdaptedOutput
from peftlab.models.packing import packed_model
from peftlab.models.padding import PaddedModel
from tests.methods.architectures import tiny_model
from tests.models.tiny import ragged

BASE = "google-bert/bert-base-uncased"
IDS = torch.tensor([[2, 5, 7, 9], [2, 8, 8, 3]])


def adapted(model_type: str, method: str, **given: Any) -> PreTrainedModel:
    """Return a tiny model with non-trivial adapters, half as wide as the model."""
    chosen = METHODS.get(method)
    model = tiny_model(model_type)
    chosen.apply(model, chosen.resolve({"reduction_factor": 2, **given}), seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".adapter." in name:
                parameter.normal_(std=0.3, generator=generator)
    return model


@pytest.mark.parametrize(
    ("method", "given", "adapter", "backbone"),
    [
        # 12 layers, 2 adapters of 2 * 768 * m + m + 768 each; m = 48 is the default, 64 the paper's
        ("houlsby", {}, 1_789_056, 25 * 2 * 768),
        ("houlsby", {"reduction_factor": 12}, 24 * 99_136, 25 * 2 * 768),
        ("houlsby", {"train_layer_norm": False}, 1_789_056, 0),
        # one adapter a layer
        ("pfeiffer", {}, 894_528, 0),
        ("pfeiffer", {"train_layer_norm": True}, 894_528, 25 * 2 * 768),
    ],
)
def test_as_many_train_as_published(
    method: str, given: dict[str, Any], adapter: int, backbone: int
) -> None:
    count = count_parameters(BASE, method, METHODS.get(method).resolve(given))
    assert (count.adapter, count.backbone, count.head) == (adapter, backbone, 1_538)
    assert count.total == count.total_peft_counting == 109_483_778 + adapter


@pytest.mark.parametrize(
    "model_type",
    [
        "bert",
        "roberta",
        "electra",
        "mpnet",
        "distilbert",
        "deberta",
        "deberta-v2",
        "mobilebert",
        "funnel",
    ],
)
@pytest.mark.parametrize(("method", "per_layer"), [("houlsby", 2), ("pfeiffer", 1)])
def test_encoders_have_a_place_for_both(model_type: str, method: str, per_layer: int) -> None:
    model = adapted(model_type, method)
    kind = AdaptedNorm if method == "pfeiffer" else AdaptedOutput
    found = [name for name, module in model.named_modules() if isinstance(module, kind)]
    assert len(found) == 2 * per_layer
    with torch.no_grad():
        changed = model(input_ids=IDS).logits
        assert not torch.allclose(changed, tiny_model(model_type)(input_ids=IDS).logits)


@pytest.mark.parametrize(
    "model_type",
    ["modernbert", "gpt2", "gpt_neox", "opt", "phi", "starcoder2", "llama", "qwen3", "gemma"],
)
def test_models_without_a_norm_at_the_end_of_their_layers_take_houlsbys_alone(
    model_type: str,
) -> None:
    model = adapted(model_type, "houlsby")
    assert sum(isinstance(module, AdaptedOutput) for module in model.modules()) == 4
    model(input_ids=IDS).logits.sum().backward()
    with pytest.raises(UserError, match="does not have a normalisation at the end of its layers"):
        adapted(model_type, "pfeiffer")


def test_a_layer_that_is_passed_through_many_times_has_one_set_of_adapters() -> None:
    model = adapted("albert", "houlsby")
    assert sum(isinstance(module, AdaptedOutput) for module in model.modules()) == 2


def test_xlnet_whose_attention_ends_in_no_module_takes_pfeiffers_alone() -> None:
    adapted("xlnet", "pfeiffer")(input_ids=IDS)
    with pytest.raises(UserError, match="an output projection of its attention that is a module"):
        adapted("xlnet", "houlsby")


def test_an_architecture_that_is_not_known_is_refused() -> None:
    with pytest.raises(UserError, match="the architecture bloom does not have a place"):
        adapted("bloom", "houlsby")


def of_adapter(model: PreTrainedModel, name: str, non_linearity: Any, x: Tensor) -> Tensor:
    adapter: Any = model.get_submodule(f"{name}.adapter")
    inner = non_linearity(x @ adapter.down.weight.T + adapter.down.bias)
    update: Tensor = inner @ adapter.up.weight.T + adapter.up.bias
    return update


def test_houlsbys_stand_before_the_residual_sums() -> None:
    """The second half of a layer of BERT is written out: feed-forward, adapter, sum, norm."""
    model: Any = adapted("bert", "houlsby")
    name = "bert.encoder.layer.0.output"
    output = model.get_submodule(name)
    x, inner = torch.randn(3, 16), torch.randn(3, 32)
    y = output.dense.base_layer(inner)
    y = y + of_adapter(model, f"{name}.dense", gelu, y)
    expected = layer_norm(x + y, (16,), output.LayerNorm.weight, output.LayerNorm.bias, 1e-12)
    torch.testing.assert_close(output(inner, x), expected)


def test_pfeiffers_read_the_norm_of_the_sum_and_are_added_to_the_sum() -> None:
    model: Any = adapted("bert", "pfeiffer")
    name = "bert.encoder.layer.0.output"
    output = model.get_submodule(name)
    norm = output.LayerNorm.base_layer
    x, inner = torch.randn(3, 16), torch.randn(3, 32)
    total = output.dense(inner) + x
    normed = layer_norm(total, (16,), norm.weight, norm.bias, 1e-12)
    total = total + of_adapter(model, f"{name}.LayerNorm", relu, normed)
    expected = layer_norm(total, (16,), norm.weight, norm.bias, 1e-12)
    torch.testing.assert_close(output(inner, x), expected)


LENGTHS = np.array([5, 11, 2, 7])


def logits_and_gradients(model: Any, call: Any) -> tuple[Tensor, dict[str, Tensor]]:
    model.zero_grad()
    logits: Tensor = call()
    cross_entropy(logits, torch.tensor([0, 1, 1, 0])).backward()
    return logits, {
        name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None
    }


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["plain", "compiled"])
@pytest.mark.parametrize("method", ["houlsby", "pfeiffer"])
@pytest.mark.parametrize("model_type", ["bert", "distilbert", "albert"])
def test_packed_equals_padded_with_the_same_dropout(
    model_type: str, method: str, dtype: torch.dtype
) -> None:
    model = adapted(model_type, method).to(dtype).train()
    ids_T = torch.randint(2, 20, (int(LENGTHS.sum()),), generator=torch.Generator().manual_seed(1))
    with PaddedModel(model, model, dropout_seed=7).active() as padded:
        expected, wanted = logits_and_gradients(
            model, lambda: padded(ragged(ids_T, LENGTHS), step=3)
        )
    with packed_model(model, model, dropout_seed=7).active() as packed:
        found, gradients = logits_and_gradients(
            model, lambda: packed(ragged(ids_T, LENGTHS), step=3)
        )
    tolerance = 1e-9 if dtype == torch.float64 else 1e-3
    torch.testing.assert_close(found, expected, rtol=0.1 * tolerance, atol=0.1 * tolerance)
    assert gradients.keys() == wanted.keys()
    assert any(".adapter.down." in name for name in wanted)
    largest = max(float(gradient.abs().max()) for gradient in wanted.values())
    for name, gradient in wanted.items():
        assert float((gradients[name] - gradient).abs().max()) < tolerance * largest, name


@pytest.mark.parametrize("method", ["houlsby", "pfeiffer", "layernorm"])
def test_the_path_says_that_blocks_with_adapters_are_not_recorded(method: str) -> None:
    chosen = METHODS.get(method)
    model = tiny_model("bert")
    module = chosen.apply(model, chosen.resolve({}), seed=0)
    path = build_classifier("packed", module, model, torch.device("cpu")).path
    assert path.endswith(", some modules called as they are") == (method != "layernorm")


def test_adapters_are_drawn_from_their_seed_alone() -> None:
    method = METHODS.get("houlsby")

    def first(seed: int) -> Tensor:
        model = method.apply(tiny_model("bert"), method.resolve({"reduction_factor": 2}), seed=seed)
        return dict(model.named_parameters())[
            "bert.encoder.layer.0.output.dense.adapter.down.weight"
        ].detach()

    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))
    assert torch.equal(torch.rand(2), expected)
    assert 0.005 < float(first(1).std()) < float(first(1).abs().max()) <= 0.02


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"reduction_factor": 0}, "reduction_factor = 0 is not valid (allowed: 1 or more)"),
        ({"non_linearity": "swosh"}, "(allowed: gelu, relu, silu, tanh)"),
        ({"train_layer_norm": 1}, "(allowed: true or false)"),
        ({"reduction": 16}, "did you mean 'reduction_factor'?"),
    ],
)
def test_a_wrong_setting_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        METHODS.get("houlsby").resolve(given, where="arms.a")
    assert words in str(caught.value)


def test_the_settings_are_saved_and_used_again(tmp_path: Path) -> None:
    method = METHODS.get("pfeiffer")
    model = adapted("bert", "pfeiffer", non_linearity="tanh", train_layer_norm=True)
    method.save(model, tmp_path)
    loaded = method.load(tiny_model("bert", seed=3), tmp_path)
    plain = tiny_model("bert", seed=3)
    assert set(loaded.state_dict()) == set(model.state_dict())
    assert "tanh" in (tmp_path / DESCRIPTION_FILE).read_text()
    with torch.no_grad():
        assert not torch.equal(loaded(input_ids=IDS).logits, plain(input_ids=IDS).logits)
    method.save(loaded, tmp_path / "again")
    for name in (DESCRIPTION_FILE, TENSORS_FILE):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"settings": {"reduction_factor": 4}}, "cannot load the trained tensors: Error"),
        ({"settings": {"reduction_factor": "x"}}, "reduction_factor = 'x' is not valid"),
        ({"settings": []}, "settings is not a mapping"),
        ({"method": "pfeiffer"}, "not of this method (allowed: houlsby)"),
    ],
)
def test_a_folder_whose_description_does_not_fit_is_refused(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    method = METHODS.get("houlsby")
    method.save(adapted("bert", "houlsby"), tmp_path)
    path = tmp_path / DESCRIPTION_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError) as caught:
        method.load(tiny_model("bert"), tmp_path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
