"""The search for the separator between several labels in one cell of a column."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from peftlab.core.inputs import ProblemType
from peftlab.data.label_cells import looks_like_number
from peftlab.data.own_labels import MOST_LABELS, OFTEN, notation_of

SEVERAL: ProblemType = "multi_label_classification"
SEPARATORS = ("|", ";", ",")
FLAG_SEPARATORS = (*SEPARATORS, " ")
MOST_WORDS = 3
"""The most words of a label: more are a sentence with a comma in it."""


@dataclass(frozen=True, kw_only=True)
class Separated:
    """A separator, a cell that has it, and whether cells surely hold several labels."""

    separator: str
    example: str
    is_plain: bool


def separated(cells: Sequence[Any]) -> Separated | None:
    """Return the separator between recurring words; None if there is none.

    Plainly several labels are words that stand in different company: where each has its own, or all
    cells have as many words and each word its place, as in `Smith, John` or `sports|tennis`, a cell
    may be one label.
    """
    texts = [cell for cell in cells if isinstance(cell, str)]
    if len(texts) < len(cells):
        return None
    for separator in FLAG_SEPARATORS:
        if notation_of(((cell,) for cell in cells), separator, SEVERAL).num_flags:
            return Separated(separator=separator, example=_example(texts, separator), is_plain=True)
    are_numbers = all(map(looks_like_number, texts))
    for separator in SEPARATORS[:-1] if are_numbers else SEPARATORS:
        several = [cell for cell in texts if separator in cell.strip(separator)]
        rows = {tuple(_parts_of(cell, separator)) for cell in texts}
        words = {word for row in rows for word in row}
        repeats = len(words) <= MOST_LABELS and len(words) <= len(texts) / 2
        is_word = all(len(word.split()) <= MOST_WORDS for word in words)
        if len(several) > OFTEN * len(texts) and repeats and is_word:
            return Separated(
                separator=separator,
                example=_example(texts, separator),
                is_plain=_have_company(rows),
            )
    return None


def _parts_of(cell: str, separator: str) -> list[str]:
    return [word.strip() for word in cell.split(separator) if word.strip()]


def _example(texts: Sequence[str], separator: str) -> str:
    return next(text for text in texts if separator in text.strip(separator)).strip()


def _have_company(rows: set[tuple[str, ...]]) -> bool:
    """Return whether some word appears with different others, and in no fixed order."""
    company, positions = defaultdict(set), defaultdict(set)
    for row in rows:
        for position, word in enumerate(row):
            company[word].add(frozenset(row))
            positions[word].add(position)
    is_shared = any(len(own) > 1 for own in company.values())
    has_order = len({len(row) for row in rows if row}) == 1 and (
        all(len(own) == 1 for own in positions.values())
    )
    return is_shared and not has_order
