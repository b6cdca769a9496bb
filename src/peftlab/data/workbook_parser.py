"""Rows of a sheet of an .xlsx workbook, in which a formula without a stored result is an error.

Programs that write a workbook without computing it, such as openpyxl, leave the results out until
a spreadsheet program opens and saves the file. openpyxl reads such a cell as an empty one. A
formula whose stored result is the empty text has the type of a text, and is an empty cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from openpyxl.utils import get_column_letter
from openpyxl.worksheet._reader import FORMULA_TAG, WorkSheetParser

if TYPE_CHECKING:
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet


class NoResultError(Exception):
    """A formula without a stored result; its text is the cell's place in the sheet."""


class _ResultParser(WorkSheetParser):  # type: ignore[misc]  # openpyxl has no types
    def parse_cell(self, element: Any) -> dict[str, Any]:
        """Return the cell as openpyxl does; raise NoResultError if it is an uncomputed formula."""
        cell: dict[str, Any] = super().parse_cell(element)
        if (
            cell["value"] is None
            and element.find(FORMULA_TAG) is not None
            and element.get("t") != "str"
        ):
            raise NoResultError(f"{get_column_letter(cell['column'])}{cell['row']}")
        return cell


def sheet_rows(sheet: ReadOnlyWorksheet) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Yield the cells of each row that the sheet holds with the row's number, which rises."""
    book: Any = sheet.parent
    own: Any = sheet
    last = 0
    with own._get_source() as source:
        parser = _ResultParser(
            source,
            own._shared_strings,
            data_only=True,
            epoch=book.epoch,
            date_formats=book._date_formats,
            timedelta_formats=book._timedelta_formats,
        )
        for number, cells in parser.parse():
            if number > last:
                last = number
                yield number, own._get_row(cells, values_only=True)
