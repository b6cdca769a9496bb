"""Lines of text files, none without end; and what a file seems to be that is no such text."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISBLK, S_ISCHR, S_ISDIR, S_ISFIFO, S_ISREG, S_ISSOCK
from typing import TextIO

from peftlab.core.errors import UserError

LONGEST_ROW = 1 << 24
"""Characters of a row, about five times War and Peace: more is no text to classify."""
MOST_COLUMNS = 10_000
KINDS = (
    (S_ISDIR, "a folder"), (S_ISFIFO, "a pipe"), (S_ISSOCK, "a socket"),
    (S_ISCHR, "a device"), (S_ISBLK, "a device"),
)  # fmt: skip
MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"),
)  # fmt: skip
BEGINNINGS = (
    (b"PK\x03\x04", "a ZIP archive or an .xlsx workbook"),
    (b"\xd0\xcf\x11\xe0", "an .xls workbook"),
    (b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"), (b"PAR1", "Parquet"), (b"ARROW1", "Arrow"),
    (b"SQLite format 3", "an SQLite database"),
)  # fmt: skip
SEPARATORS = {";": "';'", "\t": "tabs", "|": "'|'", ",": "','"}
HEAD = 4096


def require_file(path: Path) -> None:
    """UserError for what is no regular file: a device or a pipe may have no end."""
    mode = path.stat().st_mode
    if not S_ISREG(mode):
        kind = next((words for is_kind, words in KINDS if is_kind(mode)), "something else")
        raise UserError(f"not a file but {kind}", where=str(path), allowed="a file")


@contextmanager
def text_lines(path: Path) -> Iterator[Lines]:
    """The file's lines of UTF-8 text, with or without a byte order mark.

    Raises UserError, within, for a line of more than LONGEST_ROW characters, and for what is not
    UTF-8, with the line and what the file seems to be.
    """
    with path.open("rb") as binary:
        _require_text(binary.read(HEAD), path)
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as stream:
            yield Lines(stream, path)
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error


class Lines:
    """The lines, each with its end. `length` counts a row's characters: who reads sets it back."""

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
            is_csv = self._path.suffix.lower() == ".csv"
            raise UserError(
                f"a row of more than {LONGEST_ROW:,} characters",
                where=f"{self._path}:{self._first}",
                allowed="shorter texts" + ("; a quote that opens must close" if is_csv else ""),
            )
        return line


def require_header(columns: Sequence[str], kind: str, where: str) -> None:
    """UserError for columns that are too many, that stand there twice, or that are one in which
    another separator stands."""
    if len(columns) > MOST_COLUMNS:
        raise UserError(
            f"{len(columns):,} columns", where=where, allowed=f"at most {MOST_COLUMNS:,}"
        )
    if [name.lower() for name in columns] == ["sep=", ""]:
        raise UserError(
            "the first line is for Excel alone and names no column", where=where,
            allowed="a file without the line that begins with sep=",
        )  # fmt: skip
    require_different(columns, where)
    if len(columns) != 1:
        return
    own = "\t" if kind == ".tsv" else ","
    for separator, words in SEPARATORS.items():
        if separator != own and separator in columns[0]:
            raise UserError(
                f"the columns seem to be separated by {words}: {columns[0][:60]!r}", where=where,
                allowed=f"{SEPARATORS[own]} in a {kind} file" + (
                    "; tabs in a .tsv" if kind == ".csv" else "; ',' in a .csv"
                ),
            )  # fmt: skip


def require_different(columns: Sequence[str], where: str) -> None:
    """UserError for a column that is there twice."""
    seen: set[str] = set()
    for name in columns:
        if name in seen:
            raise UserError(f"the column '{name[:60]}' is there twice", where=where)
        seen.add(name)


def _require_text(head: bytes, path: Path) -> None:
    for mark, encoding in MARKS:
        if head.startswith(mark):
            raise _seems(encoding, path)
    for beginning, words in BEGINNINGS:
        if head.startswith(beginning):
            raise UserError(
                f"cannot read the file: no text; it seems to be {words}",
                where=str(path),
                allowed="UTF-8 text",
            )
    if 4 * head.count(0) > len(head):
        is_utf16 = 0 in (head[::2].count(0), head[1::2].count(0))
        if is_utf16:
            raise _seems("UTF-16", path)
        raise UserError(
            "cannot read the file: no text but zero bytes", where=str(path), allowed="UTF-8 text"
        )


def _seems(encoding: str, path: Path) -> UserError:
    return UserError(
        f"cannot read the file: not UTF-8 text; it seems to be {encoding}", where=str(path),
        allowed=f"UTF-8 text, which iconv -f {encoding} -t UTF-8 makes of that",
    )  # fmt: skip


def _not_utf8(path: Path) -> UserError:
    """The error for the first line that is not UTF-8, found by reading the bytes again."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    number, byte = 1, 0
    with path.open("rb") as binary:
        try:
            while chunk := binary.read(1 << 20):
                decoder.decode(chunk)
                number += chunk.count(b"\n")
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            number += error.object[: error.start].count(b"\n")
            byte = error.object[error.start]
    return UserError(
        f"cannot read the file: not UTF-8 text at line {number} (byte 0x{byte:02X}); it seems to "
        "be in an older encoding, as Windows-1252",
        where=str(path),
        allowed="UTF-8 text, which iconv -f WINDOWS-1252 -t UTF-8 makes of that",
    )
