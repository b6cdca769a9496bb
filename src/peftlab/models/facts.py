"""The facts in a checkpoint's config, without importing transformers if they are already known.

The values are those of `checkpoints.load_config`, stored under a key from the config's content.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from peftlab.core.files import folder_at
from peftlab.core.identity import file_sha256
from peftlab.core.process import trusts_remote_code
from peftlab.core.remembered import remembered
from peftlab.models.builtin import BUILTIN, builtin_config
from peftlab.models.checkpoints import load_config
from peftlab.models.location import locate
from peftlab.models.reading import folder_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def config_facts(name: str) -> SimpleNamespace:
    """Return the values of the checkpoint's config as attributes, under all their names.

    Raises UserError if no config is found under the name, as `load_config` does.
    """
    key = config_key(name)
    values = _values(name) if key is None else remembered("configs", key, lambda: _values(name))
    return SimpleNamespace(**values)


def config_key(name: str) -> object | None:
    """Return a JSON value that identifies the content of a checkpoint's config.

    It is None for a folder without a config, and if code that comes with a checkpoint may change
    the config. The config of a Hub id is fetched into the cache. Raises UserError if there is no
    config.
    """
    if name in BUILTIN:
        return builtin_config(name)
    if trusts_remote_code():
        return None
    folder = folder_at(name)
    if folder is None:
        locate(name)  # it refuses names that no checkpoint can have
        folder = folder_of(name, weights=False)
    path = folder / "config.json"
    return file_sha256(path) if path.is_file() else None


def _values(name: str) -> dict[str, Any]:
    config = load_config(name)
    values: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    for other in _other_names(config):
        value = getattr(config, other, None)
        if isinstance(value, bool | int | float | str):
            values.setdefault(other, value)
    return values | {"model_type": config.model_type}


def _other_names(config: PretrainedConfig) -> set[str]:
    """Return the names of a config's values that are not written to its file."""
    kind = type(config)
    computed = {name for name in dir(kind) if isinstance(getattr(kind, name), property)}
    return {*config.attribute_map, *computed}
