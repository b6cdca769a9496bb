"""A value as YAML on one line, which every reader of YAML takes for that value."""

from __future__ import annotations

import json
import re
from typing import Any

PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9_./ -]*[A-Za-z0-9_./-])?")
NO_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})
"""The unquoted words that some YAML reader takes for something else."""


def scalar(value: Any) -> str:
    """Return the value as YAML on one line, in quotes unless all readers take it for that text."""
    if isinstance(value, list):
        return f"[{', '.join(map(scalar, value))}]"
    if not isinstance(value, str):
        return json.dumps(value)
    is_plain = PLAIN.fullmatch(value) and value.casefold() not in NO_WORDS
    return value if is_plain else _quoted(value)


def _quoted(value: str) -> str:
    r"""Return the text in YAML's double quotes, whatever it contains.

    >>> print(_quoted('no "\u2028"'))
    "no \"\U00002028\""
    """
    text = json.dumps(value, ensure_ascii=False)
    return "".join(
        sign if sign.isprintable() and sign != "\ufeff" else f"\\U{ord(sign):08x}" for sign in text
    )
