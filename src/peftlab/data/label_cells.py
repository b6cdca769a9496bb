"""The meaning of one cell in a label's column: a word, a number, 0 or 1, or nothing."""

from __future__ import annotations

import math
import re
from typing import Any

from peftlab.core.errors import UserError

FLAGS = "0, 1, false, true"
YES_OR_NO = {"0": 0, "1": 1, "false": 0, "true": 1}
MISSING = frozenset(
    {
        "nan",
        "na",
        "n/a",
        "#n/a",
        "<na>",
        "nat",
        "null",
        "none",
        "nil",
        "missing",
        "?",
        "-",
        "--",
        "#ref!",
        "#value!",
        "#name?",
        "#div/0!",
        "#num!",
        "#null!",
    }
)
"""The words for a missing value that other programs write, in small letters."""

_DECIMAL_COMMA = re.compile(r"[-+]?(?:\d+|\d{1,3}(?:[ \u00a0\u2009\u202f.']\d{3})+)(?:,\d+)?")
_EITHER = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
_GROUPS = re.compile(r"[ \u00a0\u2009\u202f.']")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d*)?")
_UNITS = " \u00a0\u202f%\u2030$\u20ac\u00a3\u00a5"


class MissingCellError(UserError):
    """The error for a row that lacks a text or a label; such rows can be left out.

    `wanted` is what may stand in the cell, and `drop` is how rows are left out, in the words of
    whoever asks.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str,
        wanted: str,
        drop: str = "missing: drop in the study's data",
    ) -> None:
        self.wanted = wanted
        super().__init__(what, where=where, allowed=f"{wanted}, or {drop}")

    def asked_by(self, drop: str) -> MissingCellError:
        """Return the same error for a caller whose words for leaving rows out are others."""
        return MissingCellError(self.what, where=self.where, wanted=self.wanted, drop=drop)


def word_of(value: Any) -> str | None:
    """Return a word, a number or a truth value as the name of a label; None for anything else.

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
    """Return 0 or 1, in whatever way it is written; None for anything else.

    >>> flag_of(True), flag_of("1.0"), flag_of(" FALSE "), flag_of(0.0), flag_of(2), flag_of([1])
    (1, 1, 0, 0, None, None)
    """
    word = (word_of(cell) or "").strip().lower()
    flag = YES_OR_NO.get(word)
    if flag is None and len(word) <= 10 and re.fullmatch(r"[01]\.0*", word):
        return int(word[0])
    return flag


def number_of(cell: Any, *, has_decimal_commas: bool = False) -> float | None:
    """Return the finite number in a cell, as a number or as text; with decimal commas if asked.

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


def is_infinite(cell: Any) -> bool:
    """Return whether the cell is a number that no float holds: it says so itself, or is too large
    for one.

    >>> [is_infinite(cell) for cell in (float("inf"), "-Infinity", "1e400", 10**400, "nan", "1", 1)]
    [True, True, True, True, False, False, False]
    """
    if isinstance(cell, bool) or not isinstance(cell, int | float | str):
        return False
    try:
        return math.isinf(float(cell))
    except OverflowError:
        return True
    except ValueError:
        return False


def has_decimal_comma(text: str) -> bool:
    """Return whether the cell's comma can only be a decimal comma: not where it may stand between
    thousands.

    >>> has_decimal_comma("1,5"), has_decimal_comma("0,125"), has_decimal_comma("1,234")
    (True, True, False)
    """
    own = text.strip()
    return "," in own and bool(_DECIMAL_COMMA.fullmatch(own)) and not _EITHER.fullmatch(own)


def looks_like_number(text: str) -> bool:
    """Return whether the cell is a number, in whatever way it is written: with commas, a percent
    sign, a currency.

    >>> [looks_like_number(text) for text in ("1,000", "10%", "1.5e3", "0,5", "$5", "0,5,1", "a1")]
    [True, True, True, True, True, False, False]
    """
    own = text.strip(_UNITS)
    if not any(sign.isdigit() for sign in own):
        return False
    is_one = number_of(own) is not None or number_of(own, has_decimal_commas=True) is not None
    return is_one or _THOUSANDS.fullmatch(own) is not None


def is_nothing(cell: Any) -> bool:
    """Return whether the cell has no value, not even an empty text."""
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def is_absent(cell: Any) -> bool:
    """Return whether the cell has no value, or only blanks.

    >>> is_absent(None), is_absent(float("nan")), is_absent(" "), is_absent("nan")
    (True, True, True, False)
    """
    return is_nothing(cell) or (isinstance(cell, str) and not cell.strip())


def is_missing(cell: Any) -> bool:
    """Return whether the cell is empty or holds a word for a missing value."""
    return is_absent(cell) or (isinstance(cell, str) and cell.strip().lower() in MISSING)
