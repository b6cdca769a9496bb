"""Labels of a person's own rows: what kind they are, which there are, and what a cell says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from peftlab.core.bounds import check_text
from peftlab.core.errors import UserError
from peftlab.core.types import OwnFiles, ProblemType

YES_OR_NO = {"0": 0, "1": 1, "false": 0, "true": 1}
LONGEST_LABEL, MOST_LABELS = 200, 1000
"""Characters of a label, and how many of them are found: beyond it is another column."""

Cells = tuple[Any, ...]


class LabelReader:
    """Reads the cells of a row's label columns as the kind of problem wants them."""

    def __init__(self, files: OwnFiles, problem_type: ProblemType, labels: Sequence[str]) -> None:
        self._files = files
        self._problem_type = problem_type
        self._labels = labels
        self._places = {label: place for place, label in enumerate(labels)}

    def read(self, cells: Cells, where: str) -> int | float | tuple[int, ...]:
        """The class, the score, or 0 and 1 for each label; UserError, with the place, for none."""
        columns, first = self._files.label, f"{where}: column '{self._files.label[0]}'"
        if self._problem_type == "regression":
            return score_of(cells[0], first)
        if self._problem_type == "single_label_classification":
            return self._place(class_of(cells[0], first), first)
        if len(columns) > 1:
            named = zip(cells, columns, strict=True)
            return tuple(_flag(cell, f"{where}: column '{name}'") for cell, name in named)
        own = {self._place(word, first) for word in words_of(cells[0], self._files, first)}
        return tuple(int(place in own) for place in range(len(self._labels)))

    def _place(self, word: str, where: str) -> int:
        place = self._places.get(word)
        if place is None:
            raise UserError(
                f"unknown label {word[:40]!r}", where=where, allowed=", ".join(self._labels)
            )
        return place


def guess_problem_type(rows: Iterable[Cells]) -> ProblemType:
    """Several labels where there are several columns or lists, scores where all are numbers and
    one is no whole one, else classes."""
    are_numbers = has_fraction = False
    for cells in rows:
        if len(cells) > 1 or isinstance(cells[0], list):
            return "multi_label_classification"
        number = _number(cells[0])
        if number is None:
            return "single_label_classification"
        are_numbers = True
        has_fraction = has_fraction or number != int(number)
    is_regression = are_numbers and has_fraction
    return "regression" if is_regression else "single_label_classification"


def found_labels(
    rows: Iterable[tuple[Cells, str]], files: OwnFiles, problem_type: ProblemType
) -> tuple[str, ...]:
    """The labels in these rows, (cells, place) each: numbers by value, else words by the alphabet.

    Raises UserError for a row without one and for more than MOST_LABELS.
    """
    column, found = files.label[0], set[str]()
    for cells, place in rows:
        where = f"{place}: column '{column}'"
        if problem_type == "single_label_classification":
            found.add(class_of(cells[0], where))
        else:
            found.update(words_of(cells[0], files, where))
        if len(found) > MOST_LABELS:
            raise UserError(
                f"more than {MOST_LABELS:,} different labels",
                where=where,
                allowed="a column of labels, problem_type: regression, or all of them in labels",
            )
    numbers = {word: _number(word) for word in found}
    return tuple(sorted(found, key=lambda word: (numbers[word] is None, numbers[word] or 0, word)))


def class_of(cell: Any, where: str) -> str:
    """The word for a class; UserError for an empty cell and for what is no word."""
    word = word_of(cell)
    if word is None or not word.strip():
        raise UserError("no label", where=where, allowed="a word or a number")
    if len(word) > LONGEST_LABEL:
        raise UserError(
            f"{len(word):,} characters are no label", where=where,
            allowed=f"at most {LONGEST_LABEL}",
        )  # fmt: skip
    check_text(word, where=where)
    return word


def words_of(cell: Any, files: OwnFiles, where: str) -> tuple[str, ...]:
    """The words of a list, or between separators; none in an empty text or list."""
    if isinstance(cell, str):
        cell = [word.strip() for word in cell.split(files.separator) if word.strip()]
    if not isinstance(cell, list):
        cell = [cell]
    return tuple(class_of(word, where) for word in cell)


def score_of(cell: Any, where: str) -> float:
    """The score; UserError for what is no finite number."""
    number = _number(cell)
    if number is None:
        shown = repr(cell)[:40]
        raise UserError(f"{shown} is no score", where=where, allowed="a finite number")
    return number


def word_of(value: Any) -> str | None:
    """A word, number or yes and no as a label is called; None for anything else.

    >>> word_of("good"), word_of(3), word_of(3.0), word_of(True), word_of(None)
    ('good', '3', '3', 'true', None)
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value == int(value) else repr(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 1 << 63 else None
    return value if isinstance(value, str) else None


def _flag(cell: Any, where: str) -> int:
    flag = YES_OR_NO.get((word_of(cell) or "").strip().lower())
    if flag is None:
        shown = repr(cell)[:40]
        raise UserError(f"{shown} is neither 0 nor 1", where=where, allowed=", ".join(YES_OR_NO))
    return flag


def _number(cell: Any) -> float | None:
    """The finite number that a cell is, or says."""
    if isinstance(cell, bool) or not isinstance(cell, int | float | str):
        return None
    try:
        number = float(cell)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
