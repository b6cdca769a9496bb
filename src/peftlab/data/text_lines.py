"""Lines of text files, none without end; and the header that a first line must be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from peftlab.core.errors import UserError
from peftlab.data.encodings import not_text, opened_text
from peftlab.data.file_bytes import format_of

LONGEST_ROW = 1 << 24
"""The most characters of a row, about five times War and Peace: more is no text to classify."""
MOST_COLUMNS = 10_000
NOT_OF_TSV = ";|,"


@contextmanager
def text_lines(path: Path, encoding: str) -> Iterator[Lines]:
    """Open the file's lines, in the encoding, with or without a byte order mark.

    Raises UserError, within, for a line of more than LONGEST_ROW characters, and for what is not
    in the encoding, with the line.
    """
    try:
        with opened_text(path, encoding) as stream:
            yield Lines(stream, path)
    except UnicodeDecodeError as error:
        raise not_text(path, encoding) from error


class Lines:
    """Lines, each with its end. `length` counts a row's characters: who reads sets it back."""

    def __init__(self, stream: TextIO, path: Path) -> None:
        self._stream = stream
        self._path = path
        self._first = 1
        self.number = 0
        self.length = 0

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(LONGEST_ROW + 1)
        if not line:
            raise StopIteration
        self.number += 1
        if self.length == 0:
            self._first = self.number
        self.length += len(line)
        if self.length > LONGEST_ROW:
            is_csv = format_of(self._path).ending == ".csv"
            raise UserError(
                f"a row of more than {LONGEST_ROW:,} characters",
                where=f"{self._path}:{self._first}",
                allowed="shorter texts" + ("; a quote that opens must close" if is_csv else ""),
            )
        return line


def require_header(columns: Sequence[str], kind: str, where: str) -> None:
    """Raise UserError for too many columns, a column that appears twice, or a .tsv without tabs."""
    if len(columns) > MOST_COLUMNS:
        raise UserError(
            f"{len(columns):,} columns", where=where, allowed=f"at most {MOST_COLUMNS:,}"
        )
    require_different(columns, where)
    if kind != ".tsv" or len(columns) != 1:
        return
    for separator in NOT_OF_TSV:
        if separator in columns[0]:
            raise UserError(
                f"the columns seem to be separated by {separator!r}: {columns[0][:60]!r}",
                where=where,
                allowed="tabs in a .tsv; other separators in a .csv",
            )


def require_different(columns: Sequence[str], where: str) -> None:
    """Raise UserError for a column that appears twice."""
    seen: set[str] = set()
    for name in columns:
        if name in seen:
            raise UserError(f"the column '{name[:60]}' appears twice", where=where)
        seen.add(name)
