"""Methods that add nothing and choose which of the model's own parameters train."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import JsonValue

from peftlab.core.errors import UnknownNameError, UserError, first_line
from peftlab.methods.base import Method
from peftlab.methods.head import head_parameter_names

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

TENSORS_FILE = "changed.safetensors"
DESCRIPTION_FILE = "method.json"


class SelectiveMethod(Method):
    """Train the parameters for which `trains(name, is_head)` holds; freeze all others.

    Saved are the tensors that differ from the checkpoint: the trained ones, and the head even
    where it stays random, since without it the classifier could not be loaded again.
    """

    can_merge = True

    def __init__(
        self,
        name: str,
        title: str,
        paper: str,
        *,
        trains: Callable[[str, bool], bool],
        trains_head: bool = True,
    ) -> None:
        self.name = name
        self.title = title
        self.paper = paper
        self.trains = trains
        self.trains_head = trains_head  # type: ignore[misc]

    def settings(self) -> dict[str, JsonValue]:
        """{}: nothing can be set."""
        return {}

    def resolve(self, given: Mapping[str, JsonValue], *, where: str = "") -> dict[str, JsonValue]:
        """{}; UnknownNameError for any setting."""
        for key in given:
            raise UnknownNameError(f"setting of the method {self.name}", key, [], where=where)
        return {}

    def apply(
        self, model: PreTrainedModel, config: Mapping[str, JsonValue], *, seed: int
    ) -> nn.Module:
        """The model itself with requires_grad set; draws nothing."""
        head = set(head_parameter_names(model))
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(self.trains(name, name in head))
        return model

    def merged(self, module: nn.Module) -> PreTrainedModel:
        """The model itself: nothing was added to it."""
        return cast("PreTrainedModel", module)

    def save(self, module: nn.Module, folder: Path) -> None:
        """`changed.safetensors` with the trained tensors and the head, and `method.json`."""
        from safetensors.torch import save_file

        head = set(head_parameter_names(module))  # type: ignore[arg-type]
        tensors = {
            name: parameter.detach().cpu().contiguous()
            for name, parameter in module.named_parameters()
            if parameter.requires_grad or name in head
        }
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / TENSORS_FILE, metadata={"format": "pt"})
        description = {"method": self.name, "tensors": sorted(tensors)}
        (folder / DESCRIPTION_FILE).write_text(json.dumps(description, indent=1) + "\n")

    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        """The model with the saved tensors in place of its own."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = folder / TENSORS_FILE
        head = set(head_parameter_names(model))
        wanted = {
            name
            for name, _ in model.named_parameters()
            if name in head or self.trains(name, name in head)
        }
        try:
            tensors = load_file(path)
            unexpected = model.load_state_dict(tensors, strict=False).unexpected_keys
        except (OSError, ValueError, SafetensorError, RuntimeError) as error:
            cause = first_line(error)
            raise UserError(f"cannot load the trained tensors: {cause}", where=str(path)) from error
        if unexpected:
            raise UserError(
                f"the checkpoint has no parameter '{unexpected[0]}'",
                where=str(path),
                allowed="the checkpoint on which the trial was trained",
            )
        missing = sorted(wanted - set(tensors))
        if missing:
            raise UserError(f"the parameter '{missing[0]}' is missing", where=str(path))
        model.eval()
        return model


def is_bias(name: str) -> bool:
    """Whether a parameter is a bias term, by its name, as the BitFit papers choose them."""
    return "bias" in name


FULL = SelectiveMethod(
    "full",
    "Full fine-tuning: every parameter",
    "Devlin et al. 2019, arXiv 1810.04805",
    trains=lambda name, is_head: True,
)
BITFIT = SelectiveMethod(
    "bitfit",
    "BitFit: bias terms, and the whole classification head",
    "Ben Zaken et al. 2022, arXiv 2106.10199",
    trains=lambda name, is_head: is_head or is_bias(name),
)
BITFIT_FROZEN_HEAD = SelectiveMethod(
    "bitfit-frozen-head",
    "BitFit as often copied: bias terms only, the head's weights stay random",
    "Ben Zaken et al. 2022, arXiv 2106.10199, but with the head's weights frozen",
    trains=lambda name, is_head: is_bias(name),
    trains_head=False,
)
HEAD = SelectiveMethod(
    "head",
    "Linear probe: the classification head alone",
    "Alain and Bengio 2017, arXiv 1610.01644",
    trains=lambda name, is_head: is_head,
)
SELECTIVE = (FULL, BITFIT, BITFIT_FROZEN_HEAD, HEAD)
