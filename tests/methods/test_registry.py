"""One conformance test over every method: what trains, what is saved, what comes back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from peftlab.core.errors import UserError
from peftlab.methods.head import head_module_names, head_parameter_names
from peftlab.methods.peft_method import PeftMethod
from peftlab.methods.registry import METHODS

IDS = torch.tensor([[2, 5, 7, 9], [2, 8, 8, 3]])
LABELS = torch.tensor([0, 1])
# Methods that leave the function as it is until a step is taken.
IDENTITY_AT_STEP_0 = {
    *("full", "bitfit", "bitfit-frozen-head", "layernorm", "top-layers", "head"),
    *("houlsby", "pfeiffer", "lora"),
}


def tiny_bert(seed: int = 0, model_type: str = "bert") -> PreTrainedModel:
    torch.manual_seed(seed)
    sizes = (
        {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}
        if model_type == "distilbert"
        else {
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 32,
        }
    )
    config = AutoConfig.for_model(model_type, vocab_size=20, max_position_embeddings=16, **sizes)
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
    return model.eval()


def one_step(module: torch.nn.Module) -> None:
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.5)
    for _ in range(2):  # LoRA's A gets its first gradient only once B is not zero
        cross_entropy(module(input_ids=IDS).logits, LABELS).backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_trains_saves_and_loads_to_the_same_bits(name: str, tmp_path: Path) -> None:
    method = METHODS.get(name)
    plain = tiny_bert()
    before = plain(input_ids=IDS).logits.detach().clone()
    module = method.apply(plain, method.resolve({}), seed=1).eval()
    with torch.no_grad():
        at_step_0 = module(input_ids=IDS).logits
    assert torch.equal(at_step_0, before) == (name in IDENTITY_AT_STEP_0)

    frozen = {
        key: value.detach().clone()
        for key, value in module.named_parameters()
        if not value.requires_grad
    }
    one_step(module)
    for key, value in module.named_parameters():
        if key in frozen:
            assert torch.equal(value, frozen[key]), key
    with torch.no_grad():
        trained = module(input_ids=IDS).logits
    assert not torch.equal(trained, before)

    method.save(module, tmp_path / "model")
    assert not list((tmp_path / "model").glob("*.bin"))
    # Another head seed: what is loaded must not lean on how the head was drawn.
    other_head = tiny_bert()
    with torch.no_grad():
        for key, value in other_head.named_parameters():
            if key in head_parameter_names(other_head):
                value.normal_()
    loaded = method.load(other_head, tmp_path / "model")
    with torch.no_grad():
        assert torch.equal(loaded(input_ids=IDS).logits, trained)


@pytest.mark.parametrize("name", METHODS.names())
def test_an_unknown_setting_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UserError) as caught:
        METHODS.get(name).resolve({"no_such_field": 1}, where="arms.x")
    assert str(caught.value).startswith("arms.x: unknown setting")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", METHODS.names())
def test_settings_resolve_to_themselves_but_for_younger_ones(name: str) -> None:
    method = METHODS.get(name)
    assert method.resolve(method.settings()) == method.resolve({})
    assert method.resolve({}).keys() == method.settings().keys() - method.younger


@pytest.mark.parametrize("name", METHODS.names())
def test_a_folder_that_holds_nothing_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        METHODS.get(name).load(tiny_bert(), tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", METHODS.names())
def test_the_head_learns_exactly_where_the_method_says_so(name: str) -> None:
    method = METHODS.get(name)
    module = method.apply(tiny_bert(), method.resolve({}), seed=1)
    weights = [
        parameter
        for key, parameter in module.named_parameters()
        if key.endswith("classifier.weight") or "classifier.modules_to_save.default.weight" in key
    ]
    assert any(weight.requires_grad for weight in weights) == method.trains_head


def test_the_adapter_is_drawn_from_its_seed_and_the_global_generator_is_left_alone() -> None:
    method = METHODS.get("lora")

    def first_a(seed: int) -> torch.Tensor:
        module = method.apply(tiny_bert(), method.resolve({}), seed=seed)
        return next(value for key, value in module.named_parameters() if "lora_A" in key)

    assert torch.equal(first_a(1), first_a(1))
    assert not torch.equal(first_a(1), first_a(2))
    torch.manual_seed(3)
    expected = torch.rand(2)
    model = tiny_bert()
    torch.manual_seed(3)
    method.apply(model, method.resolve({}), seed=9)
    assert torch.equal(torch.rand(2), expected)


def test_every_module_of_a_two_layer_head_is_trained_and_saved_by_peft() -> None:
    model = tiny_bert(model_type="distilbert")
    assert head_module_names(model) == ["pre_classifier", "classifier"]
    method = METHODS.get("lora")
    module = method.apply(model, method.resolve({}), seed=0)
    trained = {key for key, value in module.named_parameters() if value.requires_grad}
    assert any("pre_classifier.modules_to_save" in key for key in trained)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"r": "abc"}, "r = 'abc' is not valid"),
        ({"bias": "some"}, "'none', 'all' or 'lora_only'"),
        ({"lora_dropout": None}, "lora_dropout"),
        ({"rr": 8}, "did you mean 'r'?"),
        ({"r": 0}, "r = 0 is not valid: it is the rank (allowed: 1 or more)"),
        ({"r": -4}, "r = -4 is not valid: it is the rank (allowed: 1 or more)"),
        ({"layers_pattern": "layer"}, "layers_to_transform"),
    ],
)
def test_a_wrong_lora_setting_is_named(given: dict[str, object], words: str) -> None:
    with pytest.raises(UserError) as caught:
        METHODS.get("lora").resolve(given)  # type: ignore[arg-type]
    assert words in str(caught.value)


@pytest.mark.parametrize("peft_type", ["LOHA", "LOKR", "VERA"])
def test_a_rank_below_one_is_refused_of_any_method_that_has_one(peft_type: str) -> None:
    method = PeftMethod("other", peft_type, "", "")
    with pytest.raises(UserError, match=r"^arms\.a: r = 0 is not valid: it is the rank"):
        method.resolve({"r": 0}, where="arms.a")


def test_a_rank_of_zero_is_taken_where_it_is_the_default() -> None:
    # OFT's r of 0 means that oft_block_size decides.
    method = PeftMethod("oft", "OFT", "", "")
    assert method.resolve({"r": 0}) == method.settings()
    with pytest.raises(UserError, match="r = -1 is not valid"):
        method.resolve({"r": -1})


def test_numbers_written_as_text_are_read_as_numbers() -> None:
    assert METHODS.get("lora").resolve({"r": "16", "lora_dropout": "1e-2"})["r"] == 16


def test_naming_the_methods_does_not_import_torch() -> None:
    code = "import sys, peftlab.methods.registry as r; r.METHODS.names(); print('torch' in sys.modules)"  # noqa: E501
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "False"
