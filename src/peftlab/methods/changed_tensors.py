"""A folder with the tensors by which a model differs from its checkpoint, and their description."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from peftlab.core.errors import UserError, first_line
from peftlab.models.head import head_parameter_names

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

TENSORS_FILE = "changed.safetensors"
DESCRIPTION_FILE = "method.json"


def save_changed(
    module: nn.Module,
    folder: Path,
    *,
    method: str,
    settings: Mapping[str, JsonValue] | None = None,
) -> None:
    """Write `changed.safetensors` with the trained tensors and the head, and `method.json`.

    The head is there even where it stays random: without it the classifier could not be loaded.
    """
    from safetensors.torch import save_file

    head = set(head_parameter_names(module))  # type: ignore[arg-type]
    tensors = {
        name: parameter.detach().cpu().contiguous()
        for name, parameter in module.named_parameters()
        if parameter.requires_grad or name in head
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / TENSORS_FILE, metadata={"format": "pt"})
    description: dict[str, Any] = {"method": method, "tensors": sorted(tensors)}
    if settings:
        description["settings"] = dict(settings)
    (folder / DESCRIPTION_FILE).write_text(json.dumps(description, indent=1) + "\n")


def read_description(folder: Path, *, method: str) -> dict[str, Any]:
    """Return the content of `method.json`: method, tensors (names), settings ({} where there are
    none).

    Raises UserError where it is not there, is damaged, or is of another method.
    """
    path = folder / DESCRIPTION_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        cause = first_line(error)
        raise UserError(f"not the description of a method: {cause}", where=str(path)) from error
    if not isinstance(found, dict) or found.get("method") != method:
        raise UserError("not of this method", where=str(path), allowed=method)
    tensors, settings = found.get("tensors"), found.get("settings", {})
    if not isinstance(tensors, list) or not all(isinstance(name, str) for name in tensors):
        raise UserError("tensors is not a list of names", where=str(path))
    if not isinstance(settings, dict):
        raise UserError("settings is not a mapping", where=str(path))
    return {"method": method, "tensors": tensors, "settings": settings}


def load_changed(model: PreTrainedModel, folder: Path, names: list[str]) -> None:
    """Replace the model's own tensors by the saved ones.

    Raises UserError where one of `names` or of the head is missing, or does not fit the model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / TENSORS_FILE
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
    missing = sorted({*names, *head_parameter_names(model)} - set(tensors))
    if missing:
        raise UserError(f"the parameter '{missing[0]}' is missing", where=str(path))
