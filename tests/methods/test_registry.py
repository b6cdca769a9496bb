"""Methods are found without importing torch; wrong settings are named."""

from __future__ import annotations

import subprocess
import sys

import pytest

from peftlab.core.errors import UserError
from peftlab.methods.peft_method import PeftMethod
from peftlab.methods.peft_table import CANNOT_SERVE, methods_of
from peftlab.methods.peft_types import peft_types
from peftlab.methods.registry import METHODS
from peftlab.models.head import head_module_names
from tests.methods.architectures import tiny_model
from tests.methods.conformance_model import tiny_bert


def test_every_module_of_a_two_layer_head_is_trained_and_saved_by_peft() -> None:
    model = tiny_model("distilbert")
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


def test_a_type_of_peft_that_has_no_row_in_our_table_appears_by_its_name() -> None:
    (method,) = (
        found
        for found in methods_of(["LORA", "NEW_TUNING"])
        if found.name != "lora" and found.peft_type != "LORA"
    )
    assert method.name == "new-tuning"
    assert method.why_not_packed is not None
    with pytest.raises(UserError, match="the installed peft has no config for new-tuning"):
        method.settings()


def test_a_type_without_a_row_has_its_config_s_fields_as_settings_and_trains() -> None:
    method = PeftMethod.unlisted("GRALORA")
    assert method.resolve({"gralora_k": 4})["gralora_k"] == 4
    module = method.apply(tiny_bert(), method.resolve({}), seed=1)
    assert any(value.requires_grad for key, value in module.named_parameters() if "gralora" in key)


def test_every_type_of_peft_is_offered_or_has_a_reason_not_to_be() -> None:
    from peft import PeftType

    assert list(peft_types()) == [member.name for member in PeftType]
    offered = {method.peft_type for method in METHODS if isinstance(method, PeftMethod)}
    assert offered | {"TRAINABLE_TOKENS"} == set(peft_types()) - set(CANNOT_SERVE)
    for peft_type, reason in CANNOT_SERVE.items():
        with pytest.raises(UserError, match=reason):
            METHODS.get(peft_type.lower().replace("_", "-"), where="arms.x.method")


@pytest.mark.parametrize("name", ["eva", "corda", "loftq"])
def test_first_values_that_need_data_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="takes training data or a quantised model"):
        METHODS.get("lora").resolve({"init_lora_weights": name})


def test_a_prefix_on_a_model_that_takes_none_is_refused_in_one_line() -> None:
    method = METHODS.get("prefix")
    with pytest.raises(UserError, match="distilbert takes no keys and values from outside"):
        method.apply(tiny_model("distilbert"), method.resolve({}), seed=1)
