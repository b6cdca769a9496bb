"""What one cell of a label's column says: a word, a number, 0 or 1, or a list of them as text."""

from __future__ import annotations

import json
import math
import re
from typing import Any

FLAGS = "0, 1, false, true"
YES_OR_NO = {"0": 0, "1": 1, "false": 0, "true": 1}
LONGEST_LIST = 1 << 18
"""Characters of a text that is looked at as a list."""
MISSING = frozenset(
    {"nan", "na", "n/a", "#n/a", "<na>", "nat", "null", "none", "nil", "missing", "?", "-", "--"}
)
"""What other programs write, in small letters, where there is no value."""

_ITEM = re.compile(
    r""" "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*'
    | [-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)? | [Tt]rue | [Ff]alse """,
    re.VERBOSE,
)
_BETWEEN = re.compile(r"\s*,\s*|\s+")
_ESCAPED = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_SIGNS = {"n": "\n", "t": "\t", "r": "\r"}
_DECIMAL_COMMA = re.compile(r"[-+]?(?:\d+|\d{1,3}(?:[ \u00a0\u2009\u202f.']\d{3})+)(?:,\d+)?")
_EITHER = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
_GROUPS = re.compile(r"[ \u00a0\u2009\u202f.']")


def word_of(value: Any) -> str | None:
    """A word, number or yes and no as a label is called; None for anything else.

    >>> word_of("good"), word_of(3), word_of(3.0), word_of(True), word_of(None)
    ('good', '3', '3', 'true', None)
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value == int(value) else repr(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 1 << 63 else None
    return value if isinstance(value, str) else None


def flag_of(cell: Any) -> int | None:
    """0 or 1, however it is written; None for anything else.

    >>> flag_of(True), flag_of("1.0"), flag_of(" FALSE "), flag_of(0.0), flag_of(2), flag_of([1])
    (1, 1, 0, 0, None, None)
    """
    word = (word_of(cell) or "").strip().lower()
    flag = YES_OR_NO.get(word)
    if flag is None and len(word) <= 10 and re.fullmatch(r"[01]\.0*", word):
        return int(word[0])
    return flag


def number_of(cell: Any, *, has_decimal_commas: bool = False) -> float | None:
    """The finite number that a cell is, or says; with decimal commas where numbers have them.

    >>> number_of("1.5"), number_of("1,5"), number_of("1 234,5", has_decimal_commas=True)
    (1.5, None, 1234.5)
    """
    if isinstance(cell, bool) or not isinstance(cell, int | float | str):
        return None
    if has_decimal_commas and isinstance(cell, str):
        cell = cell.strip()
        is_either = cell.count(".") == 1 and "," not in cell
        if is_either or not _DECIMAL_COMMA.fullmatch(cell):
            return None
        cell = _GROUPS.sub("", cell).replace(",", ".")
    try:
        number = float(cell)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def has_decimal_comma(text: str) -> bool:
    """Yes where the comma can be nothing else: not where it may stand between thousands.

    >>> has_decimal_comma("1,5"), has_decimal_comma("0,125"), has_decimal_comma("1,234")
    (True, True, False)
    """
    own = text.strip()
    return "," in own and bool(_DECIMAL_COMMA.fullmatch(own)) and not _EITHER.fullmatch(own)


def is_missing(cell: Any) -> bool:
    """Yes for what stands where there is no value, empty cells among it."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return True
    return isinstance(cell, str) and (not cell.strip() or cell.strip().lower() in MISSING)


def list_in(text: str) -> list[Any] | None:
    r"""The list that the text is, as JSON, Python or NumPy write one; None where it is none.

    >>> list_in('["joy", "fear"]'), list_in("['joy', 'it\\'s']"), list_in("[]"), list_in("[0. 1.]")
    (['joy', 'fear'], ['joy', "it's"], [], [0.0, 1.0])
    >>> list_in("[spam]"), list_in("joy")
    (None, None)
    """
    own = text.strip()
    if len(own) > LONGEST_LIST or not (own.startswith("[") and own.endswith("]")):
        return None
    try:
        found = json.loads(own)
    except (ValueError, RecursionError):
        return _items(own[1:-1].strip())
    return found if isinstance(found, list) else None


def _items(inner: str) -> list[Any] | None:
    """The quoted words, numbers, true and false with commas or blanks between them."""
    found: list[Any] = []
    place = 0
    while place < len(inner):
        item = _ITEM.match(inner, place)
        if item is None:
            return None
        found.append(_value(item[0]))
        between = _BETWEEN.match(inner, item.end())
        if between is None:
            return found if item.end() == len(inner) else None
        place = between.end()
    return found


def _value(token: str) -> Any:
    if token[0] in "\"'":
        return _ESCAPED.sub(_unescaped, token[1:-1])
    if token[0] in "tTfF":
        return token[0] in "tT"
    return int(token) if re.fullmatch(r"[-+]?\d{1,18}", token) else float(token)


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2] or escape[3]
    if code is None:
        return _SIGNS.get(escape[4], escape[4])
    number = int(code, 16)
    return chr(number) if number <= 0x10FFFF else escape[0]
