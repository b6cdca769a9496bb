"""Rows of a sheet of an .xlsx workbook, each cell as the text that the sheet's CSV would have.

A whole number has no decimal point, another number the 15 digits that Excel keeps; yes and no are
true and false; a formula is what it came to when the workbook was saved, and an error if that is
not stored. A date is a text of its own kind: what a person typed, such as 1-2, is no longer known,
so it is neither text nor label.
"""

from __future__ import annotations

import lzma
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

from peftlab.core.errors import UserError, first_line
from peftlab.core.words import counted
from peftlab.data.file_bytes import stamp_of
from peftlab.data.text_lines import LONGEST_ROW, require_header
from peftlab.data.unpacking import require_room, require_rows, require_values

if TYPE_CHECKING:
    from openpyxl import Workbook

ROWS_AT_ONCE = 64
MOST_PARTS = 10_000
NO_ZIP = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, ParseError, EOFError, KeyError,
    IndexError, ValueError, TypeError, AttributeError, OverflowError, NotImplementedError,
    RuntimeError,
)  # fmt: skip
"""The errors that zipfile, the XML reader and openpyxl raise if a file is not a workbook."""


class DateText(str):
    """A cell's text that is a date, a time or a span of time."""

    __slots__ = ()


def workbook_rows(path: Path, sheet: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each non-empty row, by the names in the first one, with its number.

    Raises UserError for what is no workbook, for rows of different lengths, and for what unpacks
    to much more than a file of that size holds.
    """
    size = path.stat().st_size
    columns: list[str] | None = None
    num_values = num_bytes = 0
    with _opened(path) as book:
        for number, cells in _cells(book, sheet, path):
            require_rows(number, size, path)
            num_values += len(cells)
            require_values(num_values, size, path)
            fields = [_text(cell) for cell in cells]
            while fields and not fields[-1]:
                fields.pop()
            if not fields:
                continue
            lengths = [*map(len, fields)]
            num_bytes += sum(lengths)
            require_room(num_bytes, size, path)
            where = f"{path}:{number}"
            if sum(lengths) > LONGEST_ROW:
                raise UserError(
                    f"a row of more than {LONGEST_ROW:,} characters", where=where,
                    allowed="shorter texts",
                )  # fmt: skip
            if columns is None:
                require_header(fields, ".xlsx", where)
                columns = fields
                continue
            if len(fields) > len(columns):
                raise UserError(
                    f"{counted(len(fields), 'cell')} where the first row names "
                    f"{counted(len(columns), 'column')}",
                    where=where,
                    allowed=" | ".join(columns),
                )
            fields += [""] * (len(columns) - len(fields))
            yield number, dict(zip(columns, fields, strict=True))


def sheet_of(path: Path, said: str | None = None) -> str:
    """Return the name of the sheet that is read: the one said, or the first that is shown."""
    sheets = _sheets(path, stamp_of(path))
    if said is not None and said not in sheets:
        raise UserError(
            f"there is no sheet '{said[:60]}'", where=str(path), allowed=", ".join(sheets)
        )
    if not sheets:
        raise UserError("the workbook has no sheet of cells", where=str(path))
    shown = [name for name, is_shown in sheets.items() if is_shown]
    return said or (shown or [*sheets])[0]


@lru_cache(maxsize=16)
def _sheets(path: Path, stamp: tuple[int, int]) -> dict[str, bool]:
    with _opened(path) as book:
        return {one.title: one.sheet_state == "visible" for one in book.worksheets}


@contextmanager
def _opened(path: Path) -> Iterator[Workbook]:
    try:
        import openpyxl
    except ImportError as error:
        raise UserError(
            "reading .xlsx needs the package openpyxl",
            where=str(path),
            remedy="pip install 'peftlab[excel]', or save the sheet as .csv",
        ) from error
    with path.open("rb") as stream:
        try:
            _require_bounded(path)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what a workbook has beside its cells
                book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
        except NO_ZIP as error:
            raise _no_workbook(path, error) from error
        try:
            yield book
        finally:
            book.close()


def _require_bounded(path: Path) -> None:
    """Raise UserError if the parts unpack to too much, or define XML entities."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        if len(parts) > MOST_PARTS:
            raise UserError(f"a workbook of {len(parts):,} parts", where=str(path))
        require_room(sum(part.file_size for part in parts), size, path)
        for part in parts:
            if not part.filename.lower().endswith((".xml", ".rels")):
                continue
            with archive.open(part) as stream:
                if b"<!doctype" in stream.read(4096).replace(b"\0", b"").lower():
                    raise ValueError(f"{part.filename} has a document type")


def _cells(book: Workbook, sheet: str, path: Path) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Yield the cells of each row that the file holds, with its number."""
    from peftlab.data.workbook_parser import NoResultError, sheet_rows

    try:
        rows = sheet_rows(book[sheet])
        while True:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                part = [*islice(rows, ROWS_AT_ONCE)]
            if not part:
                return
            yield from part
    except NoResultError as error:
        raise UserError(
            f"{sheet}!{error} is a formula without a stored result",
            where=str(path),
            remedy="open the file in a spreadsheet program and save it",
        ) from error
    except NO_ZIP as error:
        raise _no_workbook(path, error) from error


def _no_workbook(path: Path, error: Exception) -> UserError:
    return UserError(f"not an .xlsx workbook: {first_line(error)}", where=str(path))


def _text(cell: Any) -> str:
    """Return the cell as text.

    >>> [_text(cell) for cell in (3.0, 0.1 + 0.2, True, None, "a")]
    ['3', '0.3', 'true', '', 'a']
    """
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, int | float):
        is_whole = abs(cell) < 10**15 and cell == int(cell)
        return str(int(cell)) if is_whole else f"{cell:.15g}"
    if isinstance(cell, datetime) and cell.time() == time():
        cell = cell.date()
    return DateText(cell) if isinstance(cell, date | time | timedelta) else str(cell)
