"""Bottleneck adapters: small modules with a residual of their own, put into a frozen model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, JsonValue

from peftlab.core.validation import Count, Frozen, YesNo
from peftlab.methods.changed_tensors import load_changed, read_description, save_changed
from peftlab.methods.settings import SchemaMethod
from peftlab.models.head import head_parameter_names
from peftlab.models.layers import norm_parameter_names

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


RATE = 1e-3


class BottleneckSettings(Frozen):
    """The width of the bottleneck, its non-linearity, and whether the model's norms train too.

    The bottleneck is the model's width by `reduction_factor`, rounded down, and at least 1.
    """

    reduction_factor: Count = Field(default=16, description="1 or more")
    non_linearity: Literal["gelu", "relu", "silu", "tanh"] = Field(
        default="gelu", description="gelu, relu, silu, tanh"
    )
    train_layer_norm: YesNo = Field(default=True, description="true or false")


class PfeifferSettings(BottleneckSettings):
    """The same, with the defaults of another paper."""

    non_linearity: Literal["gelu", "relu", "silu", "tanh"] = Field(
        default="relu", description="gelu, relu, silu, tanh"
    )
    train_layer_norm: YesNo = Field(default=False, description="true or false")


class BottleneckMethod(SchemaMethod):
    """Adapters behind the projections of both sublayers, or around the norm that ends each layer.

    Only they, the head and, if it is so set, the model's norms train. A layer that a model passes
    through many times (ALBERT's) has its adapters in every pass.
    """

    def __init__(
        self, name: str, title: str, paper: str, *, wraps_norm: bool, schema: type[Frozen]
    ) -> None:
        self.name = name
        self.title = title
        self.paper = paper
        self.learning_rate = RATE
        self.wraps_norm = wraps_norm
        self.schema = schema

    def shares_base(self, config: Mapping[str, JsonValue]) -> bool:
        """Return True: beside adapters and head only norms may train."""
        return True

    def apply(
        self, model: PreTrainedModel, config: Mapping[str, JsonValue], *, seed: int
    ) -> nn.Module:
        """Return the model itself with adapters in it, their projections down drawn from `seed`.

        Raises UserError if no location for them is known in the architecture.
        """
        import torch

        from peftlab.models import bottleneck

        settings = BottleneckSettings.model_validate(dict(config))
        if self.wraps_norm:
            names = bottleneck.last_norm_names(model)
        else:
            names = bottleneck.projection_names(model)
        adapted = bottleneck.AdaptedNorm if self.wraps_norm else bottleneck.AdaptedOutput
        trained = {*head_parameter_names(model)}
        if settings.train_layer_norm:
            trained |= norm_parameter_names(model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in trained)
        generator = torch.Generator().manual_seed(seed)
        for name in names:
            base_layer = model.get_submodule(name)
            weight = next(base_layer.parameters())
            width = _output_width(base_layer, weight.shape)
            size = max(1, width // settings.reduction_factor)
            adapter = bottleneck.Bottleneck(width, size, settings.non_linearity, weight)
            adapter.draw(generator)
            model.set_submodule(name, adapted(base_layer, adapter))
        model.method_settings = settings.model_dump(mode="json")  # type: ignore[assignment]
        return model

    def save(self, module: nn.Module, folder: Path) -> None:
        """Write `changed.safetensors` with the trained tensors, `method.json` with the settings."""
        settings: dict[str, JsonValue] = module.method_settings  # type: ignore[assignment]
        save_changed(module, folder, method=self.name, settings=settings)

    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        """Return the model with the saved adapters in it."""
        description = read_description(folder, method=self.name)
        where = str(folder)
        config = self.resolve(description["settings"], where=where)
        module = self.apply(model, config, seed=0)
        trained = [name for name, one in module.named_parameters() if one.requires_grad]
        load_changed(model, folder, trained)
        return module.eval()


def _output_width(projection: nn.Module, shape: tuple[int, ...]) -> int:
    """Return the output width of nn.Linear, of GPT-2's Conv1D, whose weight is [in, out], or of a
    norm, whose weight is [out]."""
    return int(getattr(projection, "out_features", shape[-1]))


HOULSBY = BottleneckMethod(
    "houlsby",
    "Adapters after attention and after the feed-forward part of every layer",
    "Houlsby et al. 2019, arXiv 1902.00751",
    wraps_norm=False,
    schema=BottleneckSettings,
)
PFEIFFER = BottleneckMethod(
    "pfeiffer",
    "One adapter at the end of every layer",
    "Pfeiffer et al. 2021, arXiv 2005.00247",
    wraps_norm=True,
    schema=PfeifferSettings,
)
BOTTLENECK = (HOULSBY, PFEIFFER)
