"""The bounds of what a parsed file may hold: a few lines can name more than memory has."""

from __future__ import annotations

import re
from typing import Any

from peftlab.core.errors import UserError

MOST_VALUES = 100_000
"""The most values that a file may hold, each alias counted in full."""
DEEPEST = 50
NO_TEXT = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f\\ud800-\\udfff]")
"""Control characters, and halves of UTF-16 pairs, which no file can hold."""


def check_text(text: str, *, where: str) -> None:
    """Raise UserError if the text holds a character that no text has."""
    found = NO_TEXT.search(text)
    if found:
        raise UserError(
            f"the character U+{ord(found[0]):04X} is not allowed",
            where=where,
            allowed="printed text",
        )


def check_values(value: Any, *, where: str) -> None:
    """Raise UserError if a value is too large, holds itself, or has a character no text has."""
    waiting: list[tuple[Any, int, str]] = [(value, 0, where)]
    count = 0
    while waiting:
        part, depth, location = waiting.pop()
        count += 1
        if isinstance(part, str):
            check_text(part, where=location)
        inner: list[tuple[Any, int, str]] = []
        if isinstance(part, dict):
            for key, item in part.items():
                below = f"{where}: {key}" if depth == 0 else location
                inner += [(key, depth + 1, location), (item, depth + 1, below)]
        elif isinstance(part, list | tuple | set):
            inner = [(item, depth + 1, location) for item in part]
        if inner and depth >= DEEPEST:
            raise UserError(f"nested more than {DEEPEST} deep", where=location)
        waiting += inner
        if count + len(waiting) > MOST_VALUES:
            raise UserError(
                f"more than {MOST_VALUES:,} values, aliases written out", where=location
            )
