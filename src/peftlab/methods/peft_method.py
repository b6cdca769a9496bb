"""Methods of the peft library: their config's fields as settings, their own adapter folders."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from pydantic import ConfigDict, JsonValue, TypeAdapter, ValidationError

from peftlab.core.errors import UnknownNameError, UserError, first_line
from peftlab.methods.base import Method
from peftlab.methods.head import head_module_names

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

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

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
IMPORTING = ("auto_mapping", "megatron_config")
"""Fields of a peft config by which it imports a Python module that the config names."""

SETS = frozenset({"target_modules", "exclude_modules", "modules_to_save"})
"""Fields that peft keeps as sets of names."""

# peft knows no default target modules for these architectures; as for BERT, the query and value
# projections (ModernBERT has them, with the key's, in one).
TARGET_MODULES = {
    "albert": ["query", "value"],
    "camembert": ["query", "value"],
    "distilbert": ["q_lin", "v_lin"],
    "modernbert": ["Wqkv"],
    "data2vec-text": ["query", "value"],
    "ernie": ["query", "value"],
    "mobilebert": ["query", "value"],
    "roberta-prelayernorm": ["query", "value"],
    "xlm-roberta-xl": ["query", "value"],
    "mpnet": ["q", "v"],
    "funnel": ["q_head", "v_head"],
    "xlnet": ["layer_1", "layer_2"],  # its projections are no modules: the feed-forward part
    "biogpt": ["q_proj", "v_proj"],
    "glm4": ["q_proj", "v_proj"],
    "olmo2": ["q_proj", "v_proj"],
    "phi3": ["qkv_proj"],
    "smollm3": ["q_proj", "v_proj"],
    "starcoder2": ["q_proj", "v_proj"],
}


class PeftMethod(Method):
    """A method of peft, by the name of its type; every field of its config is a setting.

    The head is trained and saved whole: where `modules_to_save` is not given, it becomes every
    module that the checkpoint lacks. (peft's own default misses DistilBERT's pre_classifier.)
    Where `target_modules` is not given, peft's default for the architecture holds, or ours.
    """

    can_merge = True

    def __init__(self, name: str, peft_type: str, title: str, paper: str) -> None:
        self.name = name
        self.peft_type = peft_type
        self.title = title
        self.paper = paper

    @cached_property
    def config_class(self) -> type[Any]:
        """peft's dataclass for this method's config."""
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
        from peft.utils import PeftType

        found: type[Any] = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType[self.peft_type]]
        return found

    def settings(self) -> dict[str, JsonValue]:
        """The fields of peft's config with their defaults."""
        return _as_settings(self.config_class())

    def resolve(self, given: Mapping[str, JsonValue], *, where: str = "") -> dict[str, JsonValue]:
        """All fields of peft's config; types are checked by us, the rest by peft itself."""
        known = self.settings()
        types = get_type_hints(self.config_class)
        checked: dict[str, Any] = {}
        for key, value in given.items():
            if key not in known:
                raise UnknownNameError(
                    f"setting of the method {self.name}", key, known, where=where
                )
            try:
                checked[key] = _adapter(types[key]).validate_python(value)
            except ValidationError as error:
                message = error.errors()[0]["msg"]
                raise UserError(
                    f"{key} = {repr(value)[:60]} is not valid: {message}",
                    where=where,
                    allowed=_type_name(types[key]),
                ) from error
            if key == "r" and types[key] is int and checked[key] < 1 and checked[key] != known[key]:
                # A default of 0 is a rank that follows from another setting, as OFT's does. peft
                # itself refuses the others only when the adapter is made.
                raise UserError(
                    f"r = {value!r} is not valid: it is the rank", where=where, allowed="1 or more"
                )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                return _as_settings(self.config_class(task_type="SEQ_CLS", **checked))
        except Exception as error:  # its checks presume values of the right kind inside lists too
            raise UserError(
                f"peft does not accept these settings of {self.name}: {error}", where=where
            ) from error

    def apply(
        self, model: PreTrainedModel, config: Mapping[str, JsonValue], *, seed: int
    ) -> nn.Module:
        """A PeftModel around the model; the adapter's first weights are drawn from `seed`."""
        import torch
        from peft import get_peft_model

        settings = dict(config)
        own_targets: JsonValue = [*TARGET_MODULES.get(model.config.model_type, ())] or None
        if settings.get("modules_to_save") is None:
            settings["modules_to_save"] = list(head_module_names(model))
        if "target_modules" in settings and settings["target_modules"] is None:
            settings["target_modules"] = own_targets
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            torch.manual_seed(seed)
            # GPT-2's layers are transposed; peft sets fan_in_fan_out for them, and remarks on it.
            warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False")
            try:
                peft_config = self.config_class(task_type="SEQ_CLS", **settings)
                module: nn.Module = get_peft_model(model, peft_config)
            except (ValueError, TypeError, KeyError) as error:
                raise UserError(f"{self.name} does not fit this model: {error}") from error
        return module

    def merged(self, module: nn.Module) -> PreTrainedModel:
        """The model with peft's layers folded into its own weights."""
        if not self.can_merge:
            return super().merged(module)
        model: PreTrainedModel = module.merge_and_unload()  # type: ignore[operator]
        return model

    def save(self, module: nn.Module, folder: Path) -> None:
        """A PEFT adapter folder: adapter_config.json and adapter_model.safetensors."""
        module.save_pretrained(str(folder), safe_serialization=True)  # type: ignore[operator]
        _sort_sets(folder / "adapter_config.json")
        # peft writes an empty model card; the trial's record says more.
        (folder / "README.md").unlink(missing_ok=True)

    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        """The PeftModel that peft itself loads from the folder."""
        from peft import PeftModel

        for name in ADAPTER_FILES:  # without one of them peft would ask the Hub, or unpickle
            if not (folder / name).is_file():
                raise UserError(f"no PEFT adapter here: {name} is missing", where=str(folder))
        self._check_config(folder / ADAPTER_FILES[0])
        try:
            module: nn.Module = PeftModel.from_pretrained(model, str(folder))
        except Exception as error:  # a broken adapter makes peft raise whatever it runs into
            cause = first_line(error)
            raise UserError(f"cannot load the adapter: {cause}", where=str(folder)) from error
        return module.eval()

    def _check_config(self, path: Path) -> None:
        """UserError for a config that is not one of this method, or has modules imported."""
        where = str(path)
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"not the config of an adapter: {error}", where=where) from error
        if not isinstance(config, dict) or config.get("peft_type") != self.peft_type:
            raise UserError("not an adapter of this method", where=where, allowed=self.peft_type)
        for key in IMPORTING:
            if config.get(key):
                raise UserError(f"{key} is not used here", where=where, allowed="null")
        known = self.settings()
        self.resolve({key: value for key, value in config.items() if key in known}, where=where)


def _sort_sets(path: Path) -> None:
    """Write a config's sets in order: peft does in one that differs from process to process."""
    config = json.loads(path.read_text(encoding="utf-8"))
    for key in SETS.intersection(config):
        if isinstance(config[key], list):
            config[key] = sorted(config[key])
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _as_settings(config: Any) -> dict[str, JsonValue]:
    """The config's fields that are settings, as JSON values (sets become sorted lists)."""
    return {
        field.name: _as_json(getattr(config, field.name))
        for field in dataclasses.fields(config)
        if field.name not in NOT_SETTINGS
    }


def _as_json(value: Any) -> JsonValue:
    if isinstance(value, set | frozenset):
        return sorted(_as_json(item) for item in value)  # type: ignore[type-var]
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _as_json(dataclasses.asdict(value))
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(getattr(value, "value", value))


def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))


def _type_name(hint: Any) -> str:
    name = hint.__name__ if isinstance(hint, type) else str(hint)
    return name.replace("typing.", "").replace("NoneType", "null")


LORA = PeftMethod(
    "lora",
    "LORA",
    "LoRA: low-rank updates of chosen linear layers",
    "Hu et al. 2022, arXiv 2106.09685",
)
