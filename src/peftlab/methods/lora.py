"""LoRA with what can be combined with it: on the uppermost layers alone, on a base in 4 bits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, JsonValue

from peftlab.core.errors import UserError, first_line
from peftlab.core.validation import Count, Frozen
from peftlab.core.words import counted
from peftlab.methods.peft_method import PeftMethod
from peftlab.methods.quantize import is_quantized, quantize
from peftlab.methods.settings import checked
from peftlab.models.layers import layer_names

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

BASE_FILE = "base.json"


class BaseSettings(Frozen):
    """Settings beside peft's: on how many of the uppermost layers, and how the base is kept."""

    top_layers: Count | None = Field(default=None, description="1 or more, or null for all")
    quantization: Literal["4bit"] | None = Field(default=None, description="4bit, or null")


OWN = BaseSettings.model_fields.keys()
KEEPING_WEIGHTS: tuple[JsonValue, ...] = (True, False, "gaussian")
"""First values of the low-rank matrices that take nothing out of the checkpoint's weights."""


class Lora(PeftMethod):
    """LoRA or a variant of it, on all layers or the uppermost ones of a base in 32 or 4 bits."""

    def settings(self) -> dict[str, JsonValue]:
        """Return the fields of peft's config, and those of BaseSettings."""
        return super().settings() | BaseSettings().model_dump()

    def resolve(self, given: Mapping[str, JsonValue], *, where: str = "") -> dict[str, JsonValue]:
        """Return all settings, peft's and ours."""
        of_base = {key: value for key, value in given.items() if key in OWN}
        own = checked(BaseSettings, of_base, method=self.name, where=where)
        of_peft = {key: value for key, value in given.items() if key not in OWN}
        config = super().resolve(of_peft, where=where) | own
        if own["top_layers"] is not None and config["layers_to_transform"] is not None:
            raise UserError("top_layers and layers_to_transform are both set", where=where)
        return config

    def shares_base(self, config: Mapping[str, JsonValue]) -> bool:
        """Return whether no setting changes a matrix, the choice of first values among them."""
        chosen = config.get("init_lora_weights", True)
        return chosen in KEEPING_WEIGHTS and super().shares_base(config)

    def apply(
        self, model: PreTrainedModel, config: Mapping[str, JsonValue], *, seed: int
    ) -> nn.Module:
        """Return a PeftModel around the model; raise UserError if 4 bits are not available."""
        if config.get("quantization") is not None:
            quantize(model)
        module = super().apply(model, config, seed=seed)
        if config.get("init_lora_weights") == "olora" and any(
            getattr(child, "fan_in_fan_out", False) for child in module.modules()
        ):
            # Where such a layer is square nothing fails, and the model starts as another one.
            raise UserError(
                f"{self.name} does not fit this model: {model.config.model_type} keeps its weights "
                "transposed, and peft decomposes them as if it did not",
                remedy="another init_lora_weights, or other target_modules",
            )
        return module

    def fitted(
        self, model: PreTrainedModel, config: Mapping[str, JsonValue], *, seed: int
    ) -> dict[str, JsonValue]:
        """Return the settings of peft; raise UserError if the model has too few layers."""
        settings = super().fitted(model, config, seed=seed)
        num_layers = settings.get("top_layers")
        if isinstance(num_layers, int):
            layers = range(len(layer_names(model)))
            if num_layers > len(layers):
                raise UserError(
                    f"top_layers = {num_layers}, the model has {counted(len(layers), 'layer')}",
                    allowed=f"1 to {len(layers)}",
                )
            settings["layers_to_transform"] = [*layers[-num_layers:]]
        return settings

    def _config(self, settings: Mapping[str, JsonValue]) -> Any:
        return super()._config({key: one for key, one in settings.items() if key not in OWN})

    def merged(self, module: nn.Module) -> PreTrainedModel:
        """Return the merged model as every method of peft does; UserError where the base is in 4
        bits."""
        if is_quantized(module):
            raise UserError(f"{self.name} on a base in 4 bits cannot be merged into it")
        return super().merged(module)

    def save(self, module: nn.Module, folder: Path) -> None:
        """Write a PEFT adapter folder, and `base.json` if the base is in 4 bits."""
        super().save(module, folder)
        if is_quantized(module):
            (folder / BASE_FILE).write_text(json.dumps({"quantization": "4bit"}) + "\n")

    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        """Return the PeftModel that peft loads, on a base in as many bits as it was trained on."""
        path = folder / BASE_FILE
        if path.is_file():
            try:
                BaseSettings.model_validate_json(path.read_bytes())
            except (OSError, ValueError) as error:
                raise UserError(
                    f"not the description of a base: {first_line(error)}", where=str(path)
                ) from error
            quantize(model)
        return super().load(model, folder)
