"""Methods that add nothing and choose which of the model's own parameters train."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import Field, JsonValue

from peftlab.core.errors import UserError
from peftlab.core.validation import Count, Frozen, YesNo
from peftlab.methods.changed_tensors import load_changed, read_description, save_changed
from peftlab.methods.settings import NoSettings, SchemaMethod
from peftlab.models.families import family_of
from peftlab.models.head import head_parameter_names
from peftlab.models.layers import (
    embedding_parameter_names,
    norm_parameter_names,
    top_parameter_names,
)

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

Chooses = Callable[["PreTrainedModel", Any], set[str]]
"""(model, settings of the method's schema) -> the names of the parameters that train."""


class SelectiveMethod(SchemaMethod):
    """A method that trains the parameters that `chooses` names and freezes all others.

    Saved are the tensors that differ from the checkpoint: the trained ones, and the head even
    where it stays random, since without it the classifier could not be loaded again.
    """

    can_merge = True
    draws = False

    def __init__(
        self,
        name: str,
        title: str,
        paper: str,
        *,
        chooses: Chooses,
        schema: type[Frozen] = NoSettings,
        learning_rate: float | None = None,
        trains_head: bool = True,
        trains_matrices: bool = True,
    ) -> None:
        self.name = name
        self.title = title
        self.paper = paper
        self.chooses = chooses
        self.schema = schema
        self.learning_rate = learning_rate
        self.trains_head = trains_head  # type: ignore[misc]
        self.trains_matrices = trains_matrices

    def shares_base(self, config: Mapping[str, JsonValue]) -> bool:
        """Return whether no matrix of the checkpoint is among the parameters that train."""
        return not self.trains_matrices

    def apply(
        self, model: PreTrainedModel, config: Mapping[str, JsonValue], *, seed: int
    ) -> nn.Module:
        """Return the model itself with requires_grad set; draws nothing.

        Raises UserError where the model has nothing of the kind that the method trains.
        """
        chosen = self.chooses(model, self.schema.model_validate(dict(config)))
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in chosen)
        return model

    def merged(self, module: nn.Module) -> PreTrainedModel:
        """Return the model itself: nothing was added to it."""
        return cast("PreTrainedModel", module)

    def save(self, module: nn.Module, folder: Path) -> None:
        """Write `changed.safetensors` with the trained tensors and the head, and `method.json`."""
        save_changed(module, folder, method=self.name)

    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        """Return the model with the saved tensors in place of its own."""
        load_changed(model, folder, read_description(folder, method=self.name)["tensors"])
        model.eval()
        return model


def is_bias(name: str) -> bool:
    """Return whether a parameter is a bias term, by its name, as the BitFit papers choose them."""
    return "bias" in name


class FullSettings(Frozen):
    """The parameters that full fine-tuning may leave unchanged."""

    freeze_embeddings: YesNo = Field(default=False, description="true or false")


class BitFitSettings(Frozen):
    """The biases that train: all, or b_q and b_m2 of the BitFit paper's section 4."""

    biases: Literal["all", "query-intermediate"] = Field(
        default="all", description="all, query-intermediate"
    )


class TopLayersSettings(Frozen):
    """The number of uppermost layers that train."""

    num_layers: Count = Field(default=2, description="1 or more, at most the layers of the model")


def _choose_all(model: PreTrainedModel, settings: FullSettings) -> set[str]:
    names = {name for name, _ in model.named_parameters()}
    return names - embedding_parameter_names(model) if settings.freeze_embeddings else names


def _choose_biases(model: PreTrainedModel, settings: BitFitSettings) -> set[str]:
    head = {*head_parameter_names(model)}
    found = {name for name, _ in model.named_parameters() if is_bias(name)} - head
    _require(found, model, "bias terms")
    if settings.biases == "query-intermediate":
        layers = family_of(model.config.model_type).layers
        queries = _ending(found, [names.query_bias_ending for names in layers])
        intermediate = _ending(found, [names.up_bias_ending for names in layers])
        _require(queries, model, "biases of query projections of their own")
        _require(intermediate, model, "biases of intermediate layers")
        found = queries | intermediate
    return head | found


def _choose_all_biases(model: PreTrainedModel, settings: Frozen) -> set[str]:
    found = {name for name, _ in model.named_parameters() if is_bias(name)}
    _require(found - {*head_parameter_names(model)}, model, "bias terms")
    return found


def _choose_norms(model: PreTrainedModel, settings: Frozen) -> set[str]:
    found = norm_parameter_names(model)
    _require(found, model, "normalisation layers with parameters")
    return found | {*head_parameter_names(model)}


def _choose_head(model: PreTrainedModel, settings: Frozen) -> set[str]:
    return {*head_parameter_names(model)}


def _choose_top(model: PreTrainedModel, settings: TopLayersSettings) -> set[str]:
    return top_parameter_names(model, settings.num_layers) | {*head_parameter_names(model)}


def _ending(names: set[str], endings: Iterable[str]) -> set[str]:
    """Return the names that end in one of these endings, of which some may be empty."""
    wanted = tuple(f".{ending}" for ending in endings if ending)
    return {name for name in names if name.endswith(wanted)}


def _require(found: set[str], model: PreTrainedModel, what: str) -> None:
    if not found:
        raise UserError(f"the architecture {model.config.model_type} has no {what}")


FULL = SelectiveMethod(
    "full",
    "Full fine-tuning: every parameter",
    "Devlin et al. 2019, arXiv 1810.04805",
    chooses=_choose_all,
    schema=FullSettings,
)
BITFIT = SelectiveMethod(
    "bitfit",
    "BitFit: bias terms, and the whole classification head",
    "Ben Zaken et al. 2022, arXiv 2106.10199",
    learning_rate=1e-3,
    chooses=_choose_biases,
    trains_matrices=False,
    schema=BitFitSettings,
)
BITFIT_FROZEN_HEAD = SelectiveMethod(
    "bitfit-frozen-head",
    "BitFit as often copied: bias terms only, the head's weights stay random",
    "Ben Zaken et al. 2022, arXiv 2106.10199, but with the head's weights frozen",
    learning_rate=1e-3,
    chooses=_choose_all_biases,
    trains_matrices=False,
    trains_head=False,
)
LAYERNORM = SelectiveMethod(
    "layernorm",
    "Scales and shifts of all normalisation layers, and the classification head",
    "Qi et al. 2022, arXiv 2211.08682",
    learning_rate=1e-3,
    chooses=_choose_norms,
    trains_matrices=False,
)
TOP_LAYERS = SelectiveMethod(
    "top-layers",
    "The uppermost layers, what is above them, and the classification head",
    "Lee et al. 2019, arXiv 1911.03090",
    learning_rate=1e-4,
    chooses=_choose_top,
    schema=TopLayersSettings,
)
HEAD = SelectiveMethod(
    "head",
    "Linear probe: the classification head alone",
    "Alain and Bengio 2017, arXiv 1610.01644",
    learning_rate=1e-2,
    chooses=_choose_head,
    trains_matrices=False,
)
SELECTIVE = (FULL, BITFIT, BITFIT_FROZEN_HEAD, LAYERNORM, TOP_LAYERS, HEAD)
