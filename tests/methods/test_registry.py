"""Methods are found without importing torch; wrong settings are named."""

from __future__ import annotations

import subprocess
import sys

import pytest

from peftlab.core.errors import UserError
from peftlab.methods.head import head_module_names
from peftlab.methods.peft_method import PeftMethod
from peftlab.methods.registry import METHODS
from tests.methods.architectures import tiny_model


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
