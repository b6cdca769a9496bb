"""A table of the report as CSV: numbers in full, an interval in columns of its own."""

from __future__ import annotations

import csv
import io
import math
import re

from peftlab.data.sheet_cells import inert
from peftlab.report.pages.blocks import NOTHING, Cell, Table

NUMBER = re.compile(r"[-+]?\d[\d,]*(\.\d+)?")


def csv_text(table: Table) -> str:
    """Return the table as CSV text with one line per row; unknown values are empty.

    The interval of a number and its mark have columns of their own. A column's unit follows its
    name, in brackets. A text that a spreadsheet would take for a formula gets an apostrophe in
    front.
    """
    columns = range(len(table.columns))
    with_mark = {
        column
        for column in columns
        for row in table.rows
        if isinstance(cell := row[column], Cell) and cell.mark
    }
    with_interval = {
        column for column in columns for row in table.rows if _has_interval(row[column])
    }
    head: list[str] = []
    for column in columns:
        name = table.columns[column]
        unit = f" ({table.units[name]})" if name in table.units else ""
        head.append(inert(f"{name}{unit}"))
        if column in with_interval:
            head += [inert(f"{name} low{unit}"), inert(f"{name} high{unit}")]
        if column in with_mark:
            head.append(inert(f"{name} mark"))
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    for row in table.rows:
        written: list[str] = []
        for column in columns:
            written.append(_shown(row[column]))
            if column in with_interval:
                cell = row[column]
                written += [
                    _number(getattr(cell, "low", None)),
                    _number(getattr(cell, "high", None)),
                ]
            if column in with_mark:
                written.append(inert(getattr(row[column], "mark", "")))
        writer.writerow(written)
    return stream.getvalue()


def _has_interval(cell: str) -> bool:
    return isinstance(cell, Cell) and cell.low is not None


def _shown(cell: str) -> str:
    if isinstance(cell, Cell) and cell.value is not None:
        return _number(cell.value)
    if cell == NOTHING:
        return ""
    return cell.replace(",", "") if NUMBER.fullmatch(cell) else inert(cell)


def _number(value: float | None) -> str:
    """Return the number with at most 10 digits; "" for None."""
    if value is None or not math.isfinite(value):
        return ""
    return str(value) if isinstance(value, int) else f"{value:.10g}"
