"""Cells of CSV and TSV that a spreadsheet reads as text and never runs as a formula.

A text that begins as a formula does gets an apostrophe in front; numbers and all other texts are
written as they are. See https://owasp.org/www-community/attacks/CSV_Injection. The report's page
copies tables by the same rule (report/pages/templates/page.js).
"""

from __future__ import annotations

import re

BEGINNINGS = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
_NUMBER = re.compile(r"[-+](?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?%?")


def inert(text: str, *, quotes_are_text: bool = False) -> str:
    """Return the text, with an apostrophe in front where a spreadsheet would run it.

    Where quotes are written as they are, as in our TSV, a spreadsheet takes those around a cell
    away, and runs what is in them.

    >>> inert("=1+1"), inert("-1.5"), inert("-"), inert("a=b"), inert('"=1+1"')
    ("'=1+1", '-1.5', '-', 'a=b', '"=1+1"')
    >>> inert('"=1+1"', quotes_are_text=True)
    '\\'"=1+1"'
    """
    own = text.lstrip(' "' if quotes_are_text else " ")
    if len(own) < 2 or own[0] not in BEGINNINGS or _NUMBER.fullmatch(own):
        return text
    return f"'{text}"
