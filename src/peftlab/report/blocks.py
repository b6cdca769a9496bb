"""What a page is made of: headings, tables, figures and remarks, before they are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Heading:
    """A section's title and the text below it."""

    title: str
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells as text. A column whose name is in `numbers` is set to the right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[str] = frozenset()
    note: str = ""


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


Block = Heading | Table | Figure | Missing
