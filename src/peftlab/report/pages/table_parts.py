"""The division of a table into parts no wider than the page, shown one below the other."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from math import ceil

from peftlab.report.pages.blocks import Cell, Table

ROOM, SMALL_ROOM = 144, 160
"""The number of letters that fit on a line, in normal type and in that of a wide table."""
BESIDE = 2
"""The room between columns, in letters."""
SMALLER = 0.85
"""The relative size of an interval or a mark, which are shown below their number."""
SHORT_HEAD, SHORT_CELL, NARROWEST_TEXT = 12, 20, 14
"""The number of letters up to which a head stays on one line and a cell is not broken, and the
width at which a cell may break."""
MOST_LOOKED_AT = 200
"""The number of rows from which the width of a column is estimated."""


def head_lines(words: str) -> list[str]:
    """Return the words of a head in at most two lines, the longer of which is as short as possible.

    >>> head_lines("all (each tensor once)"), head_lines("peak memory"), head_lines("arm")
    (['all (each', 'tensor once)'], ['peak memory'], ['arm'])
    """
    if len(words) <= SHORT_HEAD:
        return [words]
    every = words.split(" ")
    splits = [(" ".join(every[:k]), " ".join(every[k:])) for k in range(1, len(every))]
    return list(min(splits, key=lambda lines: max(map(len, lines)), default=(words,)))


def cell_parts(cell: str) -> tuple[str, str, str]:
    """Return the cell's text, its interval and its mark, the latter two "" if it has none."""
    if not isinstance(cell, Cell):
        return cell, "", ""
    text = cell.removesuffix(cell.mark).rstrip()
    if cell.low is None:
        return text, "", cell.mark
    shown, bracket, interval = text.partition(" [")
    return shown, f"{bracket.strip()}{interval}", cell.mark


def is_wide(table: Table) -> bool:
    """Return whether the table is wider than the page, so that it needs a smaller type."""
    return sum(_widths(table)) > ROOM


def split_table(table: Table) -> list[Table]:
    """Return the table, or parts of its columns where not even small type has room for all.

    Each part begins with the first column. The columns of a group stay together if they fit.
    """
    widths = _widths(table)
    if sum(widths) <= SMALL_ROOM:
        return [table]
    groups = [
        [column for column, _ in own]
        for _, own in groupby(enumerate(table.grouped), key=lambda one: one[1][0])
    ]
    parts: list[list[int]] = [[]]
    taken = widths[0]
    for group in groups:
        columns = [column for column in group if column]
        if parts[-1] and taken + sum(widths[column] for column in columns) > SMALL_ROOM:
            parts.append([])
            taken = widths[0]
        for column in columns:
            if parts[-1] and taken + widths[column] > SMALL_ROOM:
                parts.append([])
                taken = widths[0]
            parts[-1].append(column)
            taken += widths[column]
    return [
        replace(
            table,
            columns=[table.columns[column] for column in (0, *part)],
            rows=[[row[column] for column in (0, *part)] for row in table.rows],
        )
        for part in parts
    ]


def _widths(table: Table) -> list[int]:
    """Return the approximate width of each column in letters."""
    return [
        BESIDE
        + max(
            max(map(len, head_lines(head)), default=0) + BESIDE,  # including the arrow for sorting
            *(_width(row[column]) for row in table.rows[:MOST_LOOKED_AT]),
            0,
        )
        for column, (_, head) in enumerate(table.grouped)
    ]


def _width(cell: str) -> int:
    text, interval, mark = cell_parts(cell)
    own = len(text) if len(text) <= SHORT_CELL else NARROWEST_TEXT
    return max(own, ceil(SMALLER * len(interval)), ceil(SMALLER * len(mark)))
