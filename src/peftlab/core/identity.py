"""Content identities: the same content has the same short hexadecimal name everywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

TRIAL_ID_LENGTH = 12
PINNED = "pinned_settings.json"
"""The settings of every method at their defaults, as they are left out of the ids of trials."""


def canonical_json(value: object) -> str:
    """The one JSON text of a value: keys sorted, no spaces, floats that are whole kept floats.

    Raises TypeError for anything that JSON does not have, ValueError for NaN and infinities.

    >>> canonical_json({"b": 1.0, "a": [True, None]})
    '{"a":[true,null],"b":1.0}'
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def content_id(value: object, *, length: int = TRIAL_ID_LENGTH) -> str:
    """Return the first `length` hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    return _digits(canonical_json(value), length)


def members(value: Mapping[str, object]) -> dict[str, str]:
    """Return an object's members, each as its part of the canonical JSON, by key.

    >>> members({"b": 1.0})
    {'b': '"b":1.0'}
    """
    return {key: f"{canonical_json(key)}:{canonical_json(one)}" for key, one in value.items()}


def members_id(parts: Mapping[str, str], *, length: int = TRIAL_ID_LENGTH) -> str:
    """Return the content_id of the object that has these members.

    >>> members_id(members({"b": [2], "a": 1})) == content_id({"b": [2], "a": 1})
    True
    """
    return _digits("{" + ",".join(parts[key] for key in sorted(parts)) + "}", length)


@lru_cache(maxsize=1)
def pinned_settings() -> Mapping[str, Mapping[str, object]]:
    """Return the settings of each method with the values that an id leaves out.

    They are the defaults of the release that brought the setting, and stay what they are when a
    default changes: a trial with the new default then has another id.
    """
    pinned: dict[str, dict[str, object]] = json.loads(
        files("peftlab.core").joinpath(PINNED).read_text(encoding="utf-8")
    )
    return pinned


def without_pinned(method: str, settings: Mapping[str, object]) -> dict[str, object]:
    """Return the settings of a method that are not at their pinned defaults.

    >>> without_pinned("top-layers", {"num_layers": 1})
    {'num_layers': 1}
    """
    pinned = pinned_settings().get(method, {})
    return {
        key: value for key, value in settings.items() if key not in pinned or value != pinned[key]
    }


def _digits(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits; reads in chunks of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def derived_seed(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed for one purpose, so that streams drawn from one seed never meet.

    >>> derived_seed(42, "order", 1) == derived_seed(42, "order", 1)
    True
    >>> derived_seed(42, "order", 1) == derived_seed(42, "dropout", 1)
    False
    """
    digest = hashlib.sha256(canonical_json([seed, *purpose]).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
