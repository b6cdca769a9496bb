"""Parameter counts that have been asked for before, without importing torch.

To count, torch, transformers and peft must be imported, which takes seconds; the answer depends
on their versions and on the configs alone. Answers on checkpoints whose config cannot change
unseen are kept in the user's cache folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from pydantic import JsonValue

from peftlab.core.errors import StorageError
from peftlab.core.files import whole_file
from peftlab.core.identity import content_id
from peftlab.core.measurements import ParameterCount
from peftlab.methods.registry import METHODS
from peftlab.models.builtin import BUILTIN, builtin_config
from peftlab.models.location import locate

PACKAGES = ("peftlab", "torch", "transformers", "peft")
COUNTING = 2
"""How parameters are counted: another number where the same versions come to count otherwise."""


def counted(
    model: str, method: str, given: Mapping[str, JsonValue], *, num_labels: int
) -> ParameterCount:
    """The counts of a method with the given settings on a checkpoint, from the cache if there.

    Raises UserError for an unknown method, setting or checkpoint.
    """
    found_method = METHODS.get(method, where="--method")
    path = _cache_path(model, method, given, num_labels)
    known = _read(path) if path else None
    if known is not None:
        return known
    from peftlab.methods.parameters import count_parameters

    config = found_method.resolve(given, where=f"method {method}")
    count = count_parameters(model, method, config, num_labels=num_labels)
    if path:
        _write(path, count)
    return count


def _cache_path(
    model: str, method: str, given: Mapping[str, JsonValue], num_labels: int
) -> Path | None:
    if model in BUILTIN:
        config: object = builtin_config(model)
    else:
        config = locate(model, where="--model").fingerprint
        if str(config).startswith("hub:"):
            return None
    versions = [version(name) for name in PACKAGES]
    name = content_id([COUNTING, versions, config, method, dict(given), num_labels], length=32)
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "peftlab" / "counts" / f"{name}.json"


def _read(path: Path) -> ParameterCount | None:
    try:
        return ParameterCount(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, count: ParameterCount) -> None:
    """Keep the answer; where the folder cannot be written it is counted again next time."""
    try:
        with whole_file(path) as stream:
            stream.write(json.dumps(asdict(count)).encode())
    except StorageError:
        return
