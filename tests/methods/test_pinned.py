"""The defaults that ids leave out are those of today, or stay what they were."""

from __future__ import annotations

from typing import Any

import pytest

from peftlab.core.identity import pinned_settings, without_pinned
from peftlab.methods.registry import METHODS
from tests.methods.pinned import current


def test_every_setting_of_every_method_is_pinned() -> None:
    """If one is missing, run python -m tests.methods.pinned.

    A changed default is not a fault: its trials have ids of their own.
    """
    pinned = pinned_settings()
    assert {name: [*settings] for name, settings in current().items()} == {
        name: [key for key in settings if key in pinned[name]]
        for name, settings in current().items()
    }


@pytest.mark.parametrize("name", METHODS.names())
def test_what_is_at_its_default_is_left_out_of_an_id(name: str) -> None:
    assert without_pinned(name, METHODS.get(name).resolve({})) == {}


def test_what_is_not_at_the_pinned_default_is_not() -> None:
    config = METHODS.get("lora").resolve({"r": 16, "lora_alpha": 8})
    assert without_pinned("lora", config) == {"r": 16}
    assert without_pinned("rslora", config) == {"r": 16, "use_rslora": False}


def test_a_field_that_a_newer_peft_brings_is_in_no_id_at_its_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lora = METHODS.get("lora")
    usual = lora.resolve({})
    older: dict[str, Any] = {name: dict(settings) for name, settings in pinned_settings().items()}
    del older["lora"]["lora_bias"]
    monkeypatch.setattr("peftlab.methods.peft_method.pinned_settings", lambda: older)
    assert lora.resolve({}) == {key: usual[key] for key in usual if key != "lora_bias"}
    assert lora.resolve({"lora_bias": True})["lora_bias"] is True
