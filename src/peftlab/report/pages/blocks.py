"""What a page is made of: headings, tables, figures and remarks, before they are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Heading:
    """A section's title and the text below it."""

    title: str
    text: str = ""


class Cell(str):
    """A cell's text with the number behind it, in the column's unit, and that number's interval.

    `best` is said of a score only where a test says so. `mark` is a word or three on what the
    number is worth; it is the end of the text.

    >>> Cell("2 min 5 s", value=125).value, Cell("2 min 5 s", value=125) == "2 min 5 s"
    (125, True)
    """

    value: float | None
    low: float | None
    high: float | None
    best: bool
    mark: str

    def __new__(
        cls,
        text: str,
        *,
        value: float | None = None,
        low: float | None = None,
        high: float | None = None,
        best: bool = False,
        mark: str = "",
    ) -> Cell:
        """The cell."""
        cell = super().__new__(cls, f"{text} {mark}" if mark else text)
        cell.value, cell.low, cell.high, cell.best, cell.mark = value, low, high, best, mark
        return cell


NOTHING = "-"
"""What a cell says of which nothing is known."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells as text, or a `Cell` where there is a number to sort by and to hand on.

    A column whose name is in `numbers` is set to the right. `units` are those of columns whose
    numbers need one. Columns whose names begin with one of the `groups` stand below that name on
    the page. `name` is the stem of its files; the page gives one where there is none. `note` stands
    below the table, and after it the `meanings` of columns.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[str] = frozenset()
    note: str = ""
    units: Mapping[str, str] = field(default_factory=dict)
    groups: Sequence[str] = ()
    name: str = ""
    meanings: Mapping[str, str] = field(default_factory=dict)

    @property
    def notes(self) -> str:
        """The note and the meanings of the columns, in sentences."""
        meanings = (f"{column}: {words}." for column, words in self.meanings.items())
        return " ".join(filter(None, (self.note, *meanings)))

    @property
    def shown(self) -> Table:
        """The table without the columns that say nothing in any row, and without their meanings.

        >>> table = Table(title="", columns=["arm", "sd"], rows=[["full", "-"]])
        >>> table.shown.columns, table.shown.rows
        (['arm'], [['full']])
        """
        said = [
            place
            for place in range(len(self.columns))
            if not place or any(row[place] not in ("", NOTHING) for row in self.rows)
        ]
        columns = [self.columns[place] for place in said]
        return replace(
            self,
            columns=columns,
            rows=[[row[place] for place in said] for row in self.rows],
            meanings={name: own for name, own in self.meanings.items() if name in columns},
        )

    @property
    def grouped(self) -> list[tuple[str, str]]:
        """The group of each column, "" for none, and what its name says beside that.

        >>> Table(title="", columns=["arm", "sst2 accuracy"], rows=[], groups=["sst2"]).grouped
        [('', 'arm'), ('sst2', 'accuracy')]
        """
        found = []
        for column in self.columns:
            group = next((one for one in self.groups if column.startswith(f"{one} ")), "")
            found.append((group, column[len(group) :].lstrip()))
        return found


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A Vega-Lite specification with its data in it, and the same in words for who cannot see it.

    `name` is the stem of its files.
    """

    name: str
    title: str
    description: str
    specification: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Missing:
    """What a part would show but is not measured yet, a line each."""

    lines: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Warnings:
    """What a reader must know of the scores, a line each."""

    title: str
    lines: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class JudgedClaim:
    """What a study claims, the verdict on it in a word or three, and its evidence in lines.

    `kind` says what sort of verdict it is, where that is not the usual one.
    """

    say: str
    verdict: str
    kind: str = ""
    lines: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Claims:
    """The claims of a study."""

    claims: Sequence[JudgedClaim]


Block = Heading | Table | Figure | Missing | Warnings | Claims
