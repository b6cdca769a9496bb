"""A checkpoint's own head: whether it has one, and which row belongs to which label."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peftlab.core.errors import UserError
from peftlab.core.words import counted
from peftlab.models.families import family_of
from peftlab.models.headers import tensor_shapes
from peftlab.models.reading import cached_file

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PLACEHOLDER = re.compile(r"LABEL_\d+")
"""The pattern of the names that transformers gives to labels without a name."""

FRESH = "head: fresh"


def model_type_in(config: Path) -> str:
    """Return the architecture named in a config.json; "" if it cannot be read."""
    try:
        return str(_json_of(config).get("model_type", ""))
    except UserError:
        return ""


def hub_model_type(name: str) -> str:
    """Return the architecture of a Hub id from its cached config; "" if that is not cached."""
    path = cached_file(name, "config.json")
    return model_type_in(path) if path else ""


def has_head(folder: Path) -> bool:
    """Return whether the folder's weights have a classifier's head; False if they cannot be read,
    which loading the model will report."""
    try:
        model_type = _json_of(folder / "config.json").get("model_type", "")
        return family_of(str(model_type)).holds_head(tensor_shapes(folder))
    except UserError:
        return False


def had_head(name: str) -> bool:
    """Return whether the cached config of a Hub id is that of a sequence classifier."""
    path = cached_file(name, "config.json")
    classes = _json_of(path).get("architectures") if path else None
    return isinstance(classes, list) and any(str(one).endswith("Classification") for one in classes)


def rows_by_name(
    own: Sequence[str], wanted: Sequence[str], *, name: str, where: str = "", task: str = ""
) -> list[int]:
    """Return the head's row for each wanted label; names match regardless of case.

    `own` holds the names of the checkpoint's labels in the order of its rows. If no labels are
    wanted, as for a regression, the head must have one row. Raises UserError if the labels differ.

    >>> rows_by_name(["POSITIVE", "negative"], ["negative", "positive"], name="it")
    [1, 0]
    """
    head = f"the head of the checkpoint '{name}'"
    the_task = f"the task {task}" if task else "the task"
    if not wanted:
        if len(own) == 1:
            return [0]
        raise UserError(
            f"{head} has {counted(len(own), 'output')} ({', '.join(own)}), {the_task} has "
            "one, a score",
            where=where,
            allowed=FRESH,
        )
    lists = f"it has {', '.join(own)}; {the_task} has {', '.join(wanted)}"
    if own and all(PLACEHOLDER.fullmatch(label) for label in own):
        raise UserError(
            f"{head} does not name its labels, so which is which is unknown: {lists}",
            where=where,
            allowed=f"names as id2label in its config.json, or {FRESH}",
        )
    rows = {_plain(label): row for row, label in enumerate(own)}
    if len(rows) < len(own) or rows.keys() != {_plain(label) for label in wanted}:
        raise UserError(f"{head} is not for these labels: {lists}", where=where, allowed=FRESH)
    return [rows[_plain(label)] for label in wanted]


def require_head(has_head: bool, *, name: str, where: str) -> None:
    """Raise UserError if the checkpoint has no head that could be kept."""
    if not has_head:
        raise UserError(
            f"the checkpoint '{name}' has no head of a sequence classifier to keep",
            where=where,
            allowed=FRESH,
        )


def reorder(model: PreTrainedModel, names: Sequence[str], rows: Sequence[int]) -> None:
    """Reorder the rows of the parameters with these names."""
    import torch

    with torch.no_grad():
        for name in names:
            parameter = model.get_parameter(name)
            parameter.copy_(parameter[list(rows)].clone())


def _plain(label: str) -> str:
    return label.strip().casefold()


def _json_of(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one if there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
