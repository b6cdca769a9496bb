"""The separator of a CSV's fields: what its first rows say, or what is said of them.

The header tells which of the usual separators there are. Where two of them stand in it, it is the
one with which all rows have as many fields as the header; where both are such, none is taken.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from peftlab.core.errors import UserError
from peftlab.data.encodings import opened_text
from peftlab.data.text_lines import LONGEST_ROW

COMMA = ","
SEPARATORS = ",;\t|"
LOOKED_AT = 1 << 18
"""The number of characters at the beginning of a file that are inspected."""
_OF_EXCEL = re.compile(r'"?sep=([^"\r\n])"?\r?\n?', re.IGNORECASE)


def words_for(separator: str) -> str:
    """Return the separator in words.

    >>> words_for("\\t"), words_for(";")
    ('tabs', "';'")
    """
    return "tabs" if separator == "\t" else repr(separator)


def said_by_excel(line: str) -> str | None:
    """Return the separator that the first line declares in Excel's way, or None.

    >>> said_by_excel("sep=;\\r\\n"), said_by_excel("sep,label")
    (';', None)
    """
    found = _OF_EXCEL.fullmatch(line)
    return found[1] if found else None


def separator_of(path: Path, encoding: str, said: str | None = None) -> str:
    """Return the separator; raise UserError if two are possible, or the file declares another one.

    A header that none of the usual ones stands in is one column.
    """
    try:
        with opened_text(path, encoding) as stream:
            head = stream.read(LOOKED_AT)
    except UnicodeDecodeError:
        return said or COMMA  # which is said, with its line, when the rows are read
    first, _, _ = head.partition("\n")
    own = said_by_excel(first)
    if own is not None:
        if said not in (None, own):
            raise UserError(
                f"the first line says that {words_for(own)} separate the fields, and sep is said "
                f"to be {words_for(said or '')}",
                where=f"{path}:1",
                allowed="no sep, or no such line",
            )
        return own
    if said is not None:
        return said
    in_header = [sep for sep in SEPARATORS if _num_fields(head, sep) > 1]
    if len(in_header) < 2:
        return in_header[0] if in_header else COMMA
    is_whole = len(head) < LOOKED_AT
    fitting = [sep for sep in in_header if _fits(head, sep, is_whole=is_whole)]
    if len(fitting) > 1:
        raise UserError(
            f"the columns may be separated by {' or '.join(map(words_for, fitting))}: "
            f"{first.strip()[:60]!r}",
            where=f"{path}:1",
            allowed=f"sep: '{fitting[0]}' in the study's data, or --sep '{fitting[0]}' of a "
            "command, or another separator",
        )
    return fitting[0] if fitting else in_header[0]


def _num_fields(head: str, sep: str) -> int:
    """Return the number of fields in the first row; 0 if it is not a row of CSV."""
    csv.field_size_limit(LONGEST_ROW)
    try:
        return len(next(csv.reader(io.StringIO(head, newline=""), delimiter=sep, strict=True), []))
    except csv.Error:
        return 0


def _fits(head: str, sep: str, *, is_whole: bool) -> bool:
    """Return whether all rows have as many fields as the header."""
    records = _records(head, sep, is_whole=is_whole)
    return records is not None and len({len(fields) for fields in records if fields}) <= 1


def _records(text: str, sep: str, *, is_whole: bool = True) -> list[list[str]] | None:
    """Return the rows without an incomplete last one; None if they are not CSV of this kind."""
    rows: list[list[str]] = []
    try:
        for fields in csv.reader(io.StringIO(text, newline=""), delimiter=sep, strict=True):
            rows.append(fields)
    except csv.Error as error:
        if is_whole or "unexpected end" not in str(error):
            return None
        return rows
    return rows if is_whole else rows[:-1]
