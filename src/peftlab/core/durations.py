"""Durations as people write them, and as a setting of a study has them."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

UNITS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600,
         "d": 86400, "day": 86400}  # fmt: skip
PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
ALLOWED = "30 minutes, 2 hours, 1 h 30 min, 90 s, or a number of seconds"


def seconds_of(text: str) -> float:
    """Return the seconds of a duration; raise ValueError for anything else.

    >>> seconds_of("30 minutes"), seconds_of("1 h 30 min"), seconds_of("90")
    (1800.0, 5400.0, 90.0)
    """
    words = text.strip().casefold()
    try:
        seconds = float(words)
    except ValueError:
        parts = PART.findall(words)
        units = [unit if unit in UNITS else unit.removesuffix("s") for _, unit in parts]
        is_whole = not PART.sub("", words).replace(",", "").replace("and", "").strip()
        if not parts or not is_whole or any(unit not in UNITS for unit in units):
            raise ValueError(f"no duration such as {ALLOWED}") from None
        numbers = (float(number) for number, _ in parts)
        seconds = sum(number * UNITS[unit] for number, unit in zip(numbers, units, strict=True))
    if not 0 < seconds < math.inf:
        raise ValueError("a duration is more than nothing, and has an end")
    return seconds


def _as_seconds(value: Any) -> Any:
    return seconds_of(value) if isinstance(value, str) else value


Seconds = Annotated[
    float, BeforeValidator(_as_seconds), Field(gt=0, allow_inf_nan=False, strict=True)
]
"""A duration in a study: a text such as 30 minutes, or a number of seconds."""
