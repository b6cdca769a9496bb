"""Content identities: the same content has the same short hexadecimal name everywhere."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

TRIAL_ID_LENGTH = 12


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
    """The first `length` hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits; reads in chunks of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def derived_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, so that streams drawn from one seed never meet.

    >>> derived_seed(42, "order", 1) == derived_seed(42, "order", 1)
    True
    >>> derived_seed(42, "order", 1) == derived_seed(42, "dropout", 1)
    False
    """
    digest = hashlib.sha256(canonical_json([seed, *purpose]).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def json_number(value: float) -> float | None:
    """A float as JSON can hold it: NaN and infinities become null."""
    return value if math.isfinite(value) else None
