"""The blocks of a page before they are drawn: headings, tables, figures and remarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Heading:
    """The title of a section and the text below it."""

    title: str
    text: str = ""


class Cell(str):
    """The text of a cell with its number, in the column's unit, and that number's interval.

    `best` marks a score that a test shows to be the best. `mark` says in a few words what the
    number is worth; the text ends with it.

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
        """Return the cell."""
        cell = super().__new__(cls, f"{text} {mark}" if mark else text)
        cell.value, cell.low, cell.high, cell.best, cell.mark = value, low, high, best, mark
        return cell


NOTHING = "-"
"""The text of a cell about which nothing is known."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of text, with a `Cell` for each number to sort by and to export.

    A column whose name is in `numbers` is aligned right. `units` gives the units of columns that
    need one. Columns whose names begin with one of the `groups` are shown below that name on the
    page. `name` is the stem of its files; the page chooses one if it is empty. The `note` is shown
    below the table, followed by the `meanings` of columns.
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
        """The table without the columns that are empty in every row, and without their meanings.

        >>> table = Table(title="", columns=["arm", "sd"], rows=[["full", "-"]])
        >>> table.shown.columns, table.shown.rows
        (['arm'], [['full']])
        """
        said = [
            column
            for column in range(len(self.columns))
            if not column or any(row[column] not in ("", NOTHING) for row in self.rows)
        ]
        columns = [self.columns[column] for column in said]
        return replace(
            self,
            columns=columns,
            rows=[[row[column] for column in said] for row in self.rows],
            meanings={name: own for name, own in self.meanings.items() if name in columns},
        )

    @property
    def grouped(self) -> list[tuple[str, str]]:
        """The group of each column, "" for none, and the rest of its name.

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
    """A Vega-Lite specification with its data, and a description for readers who cannot see it.

    `name` is the stem of its files.
    """

    name: str
    title: str
    description: str
    specification: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Missing:
    """The results that a part would show but that are not measured yet, one line each."""

    lines: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Warnings:
    """Warnings about the scores for the reader, one line each."""

    title: str
    lines: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class JudgedClaim:
    """A claim of a study, the verdict on it in a few words, and the lines of its evidence.

    `kind` is the kind of the verdict, such as interim; "" for the usual kind.
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
