"""Text in a form for pages, drawings and printers: invisible characters are spelled out.

Labels, names and texts come from users, and may hold any character. XML does not allow control
characters, and the converter of figures ends the whole process at one; the language of figures ends
a line at U+2028; a character that changes the direction of writing affects all that follows.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import TypeVar

from peftlab.report.pages.blocks import Cell

Value = TypeVar("Value")

UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # control characters except tabs and line ends
    "\u2028\u2029"  # line and paragraph separators
    "\u202a-\u202e\u2066-\u2069"  # changes of direction
    "\ud800-\udfff\ufffe\uffff]"  # code points that are not characters
)


def printable_text(text: str) -> str:
    r"""Return the text with each invisible character as its number, so that different ones differ.

    >>> printable_text("a\u2028b\x00"), printable_text("naïve 👩‍👧 نص")
    ('a⟨U+2028⟩b⟨U+0000⟩', 'naïve 👩‍👧 نص')
    """
    return UNPRINTABLE.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def printable(value: Value) -> Value:
    """Return the value with all texts printable, within lists, mappings, cells and blocks."""
    shown: object = value
    if isinstance(value, Cell):
        if UNPRINTABLE.search(value):
            shown = Cell(
                printable_text(value.removesuffix(value.mark).rstrip()),
                value=value.value,
                low=value.low,
                high=value.high,
                best=value.best,
                mark=value.mark,
            )
    elif isinstance(value, str):
        shown = printable_text(value)
    elif isinstance(value, Mapping):
        shown = {printable(key): printable(one) for key, one in value.items()}
    elif isinstance(value, list | tuple | frozenset):
        shown = type(value)(printable(one) for one in value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: printable(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
        shown = dataclasses.replace(value, **fields)
    return shown  # type: ignore[return-value]
