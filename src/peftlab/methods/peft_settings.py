"""The fields of peft's configs as settings: JSON values with types, defaults and checks."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from pydantic import ConfigDict, JsonValue, TypeAdapter

# Fields of a peft config that describe the file or are ours to set, not the method.
NOT_SETTINGS = frozenset(
    {
        "task_type",
        "peft_type",
        "auto_mapping",
        "peft_version",
        "base_model_name_or_path",
        "revision",
        "inference_mode",
        "runtime_config",
        "megatron_config",
        "megatron_core",
    }
)

SEED = re.compile(r"(?:^|_)(?:seed|prng_key)$")
"""The fields of peft configs that seed a generator of the method's own."""


def default_of(field: dataclasses.Field[Any]) -> Any:
    """Return a dataclass field's default; None if it has none."""
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None


def as_settings(config: Any) -> dict[str, JsonValue]:
    """Return the config's fields that are settings, as JSON values (sets become sorted lists)."""
    return {
        field.name: as_json(getattr(config, field.name))
        for field in dataclasses.fields(config)
        if field.name not in NOT_SETTINGS
    }


def as_json(value: Any) -> JsonValue:
    """Return a value of a config as JSON: sets in order, enumerations by their values."""
    if isinstance(value, set | frozenset):
        return sorted(as_json(item) for item in value)  # type: ignore[type-var]
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return as_json(dataclasses.asdict(value))
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(getattr(value, "value", value))


def type_adapter(hint: Any) -> TypeAdapter[Any]:
    """Return a validator for values of a field's type."""
    return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))


def type_name(hint: Any) -> str:
    """Return a field's type in YAML's words: "int | null"."""
    name = hint.__name__ if isinstance(hint, type) else str(hint)
    return name.replace("typing.", "").replace("NoneType", "null")
