"""LoRA with biases, on the uppermost layers, and on a base in 4 bits."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from peftlab.core.errors import UserError
from peftlab.methods.lora import BASE_FILE
from peftlab.methods.parameters import count_parameters, num_frozen_layers
from peftlab.methods.registry import METHODS
from peftlab.models.head import head_parameter_names
from tests.methods.architectures import tiny_model

IDS = torch.tensor([[2, 5, 7, 9], [2, 8, 8, 3]])
LORA = METHODS.get("lora")
BASE = "google-bert/bert-base-uncased"


def logits(module: nn.Module) -> Tensor:
    with torch.no_grad():
        found: Tensor = module.eval()(input_ids=IDS).logits
    return found


def moved(model_type: str, **given: Any) -> nn.Module:
    """Return a tiny model under LoRA, with all trained parameters drawn anew."""
    module = LORA.apply(tiny_model(model_type), LORA.resolve({"r": 2, **given}), seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.3, generator=generator)
    return module


@pytest.mark.parametrize("given", [{"bias": "all"}, {"bias": "lora_only"}, {"top_layers": 1}])
@pytest.mark.parametrize("model_type", ["bert", "roberta", "distilbert"])
def test_what_is_combined_is_saved_loaded_and_merged_with_the_head(
    model_type: str, given: dict[str, Any], tmp_path: Path
) -> None:
    module = moved(model_type, **given)
    expected = logits(module)
    LORA.save(module, tmp_path)
    other = tiny_model(model_type)
    with torch.no_grad():
        for name in head_parameter_names(other):
            other.get_parameter(name).normal_()
    loaded = LORA.load(other, tmp_path)
    assert torch.equal(logits(loaded), expected)
    torch.testing.assert_close(logits(LORA.merged(loaded)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "backbone", "adapter"),
    [
        ({"bias": "all"}, 102_912, 294_912),  # LoRA's and BitFit's
        ({"bias": "lora_only"}, 24 * 768, 294_912),
        ({"top_layers": 3}, 0, 294_912 // 4),
    ],
)
def test_combinations_count_as_their_parts(
    given: dict[str, Any], backbone: int, adapter: int
) -> None:
    count = count_parameters(BASE, "lora", LORA.resolve(given))
    assert (count.backbone, count.adapter, count.head) == (backbone, adapter, 1_538)


@pytest.mark.parametrize("model_type", ["bert", "distilbert", "gpt2", "llama"])
def test_lora_on_the_top_layer_is_nowhere_else(model_type: str) -> None:
    names = [name for name, _ in moved(model_type, top_layers=1).named_parameters()]
    found = [name for name in names if "lora_A" in name]
    assert found
    assert all(".1." in name for name in found)


def test_the_layers_below_stay_the_checkpoints_own() -> None:
    assert num_frozen_layers(BASE, "lora", LORA.resolve({"top_layers": 2})) == 10


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"top_layers": 0}, "top_layers = 0 is not valid (allowed: 1 or more, or null for all)"),
        ({"quantization": "8bit"}, "quantization = '8bit' is not valid (allowed: 4bit, or null)"),
        ({"top_layers": 2, "layers_to_transform": [1]}, "are both set"),
        ({"top_layer": 2}, "did you mean 'top_layers'?"),
    ],
)
def test_a_wrong_setting_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        LORA.resolve(given, where="arms.a")
    assert words in str(caught.value)
    assert str(caught.value).startswith("arms.a: ")


@pytest.mark.parametrize(
    ("model_type", "num_layers", "words"),
    [("bert", 3, "the model has 2 layers"), ("albert", 1, "albert has no layers one above")],
)
def test_a_model_without_so_many_layers_is_refused(
    model_type: str, num_layers: int, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        moved(model_type, top_layers=num_layers)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_base_in_4_bits_is_refused_in_one_line_where_it_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="quantization = 4bit needs"):
        moved("bert", quantization="4bit")
    LORA.save(moved("bert"), tmp_path)
    (tmp_path / BASE_FILE).write_text('{"quantization": "4bit"}')
    with pytest.raises(UserError, match="quantization = 4bit needs"):
        LORA.load(tiny_model("bert"), tmp_path)
    (tmp_path / BASE_FILE).write_text('{"quantization": "2bit"}')
    with pytest.raises(UserError, match="not the description of a base"):
        LORA.load(tiny_model("bert"), tmp_path)


def test_parameters_of_a_base_in_4_bits_are_counted_from_the_config_alone() -> None:
    plain = count_parameters(BASE, "lora", LORA.resolve({}))
    assert count_parameters(BASE, "lora", LORA.resolve({"quantization": "4bit"})) == plain


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
def test_an_adapter_on_a_base_in_4_bits_comes_back_on_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peftlab.methods import lora
    from peftlab.methods.quantize import replace_linear_layers

    device = "cuda" if torch.cuda.is_available() else "cpu"  # today's bitsandbytes does both
    monkeypatch.setattr(lora, "quantize", replace_linear_layers)
    wide = {"hidden_size": 64, "intermediate_size": 128}
    base = tiny_model("bert", **wide)
    module = LORA.apply(base, LORA.resolve({"r": 2, "quantization": "4bit"}), seed=1).to(device)
    module(input_ids=IDS.to(device)).logits.sum().backward()
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None
                parameter.add_(parameter.grad)
    LORA.save(module, tmp_path)
    loaded = LORA.load(tiny_model("bert", **wide), tmp_path).to(device)
    inputs = IDS.to(device)
    assert torch.equal(
        loaded.eval()(input_ids=inputs).logits, module.eval()(input_ids=inputs).logits
    )
    with pytest.raises(UserError, match="on a base in 4 bits cannot be merged"):
        LORA.merged(loaded)
