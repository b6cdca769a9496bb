"""The labels of a user's own rows: how they are written, which there are, and what a cell says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from peftlab.core.bounds import check_text
from peftlab.core.errors import UserError
from peftlab.core.inputs import OwnFiles, ProblemType
from peftlab.data.label_cells import (
    FLAGS,
    MissingCellError,
    flag_of,
    has_decimal_comma,
    is_absent,
    is_infinite,
    is_missing,
    is_nothing,
    number_of,
    word_of,
)
from peftlab.data.list_cells import FORMS, is_list, is_no_word, list_in

LONGEST_LABEL, MOST_LABELS = 200, 1000
"""The most characters of a label, and the most labels that are found: beyond it is another
column."""
OFTEN = 0.05
"""The share of odd cells beyond which they are not mere slips."""
IDS: tuple[list[int], ...] = ([], [0], [1], [0, 1])
"""All lists of different label numbers, ascending, that could be mistaken for 0 and 1."""

Cells = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Notation:
    """The kind of problem, and how the labels of one column are written in the rows of train.

    With `num_flags` a cell is a list of so many 0 and 1, one for each label, else of the labels
    that hold. With `lists_in_texts` lists are written as texts. `is_guessed` says that the kind is.
    """

    problem_type: ProblemType
    num_flags: int = 0
    lists_in_texts: bool = False
    has_decimal_commas: bool = False
    is_guessed: bool = False

    def items(self, cell: Any, separator: str, where: str) -> list[Any]:
        """Return the items in a cell of several labels; raise UserError if it is not a list."""
        if isinstance(cell, list):
            return cell
        if not isinstance(cell, str):
            return [cell]
        if not self.lists_in_texts:
            if is_no_word(cell):
                raise UserError(
                    f"{cell[:40]!r} stands in brackets, where other labels are words", where=where,
                    allowed=f"words with '{separator}' between them, or lists in all cells",
                )  # fmt: skip
            return [word.strip() for word in cell.split(separator) if word.strip()]
        found = list_in(cell) if cell.strip() else []
        if found is None:
            raise UserError(
                f"{cell[:40]!r} is not a list, but the other labels are", where=where, allowed=FORMS
            )
        return found


def notation_of(
    rows: Iterable[Cells], separator: str, problem_type: ProblemType | None = None
) -> Notation:
    """Return the notation of the rows' labels. Without a kind that is said, it is guessed.

    Several labels where there are several columns or lists, scores where all are numbers and one
    is no whole one, else classes. Lists as texts are the rule where most cells are such.
    """
    every, is_guessed = [*rows], problem_type is None
    if any(len(cells) > 1 for cells in every):
        return Notation(
            problem_type=problem_type or "multi_label_classification", is_guessed=is_guessed
        )
    column = [cells[0] for cells in every]
    may_be_several = problem_type in (None, "multi_label_classification")
    lists_in_texts = may_be_several and are_lists_in_texts(column)
    has_lists = lists_in_texts or any(isinstance(cell, list) for cell in column)
    has_commas = not has_lists and _have_decimal_commas(column, problem_type)
    if problem_type is None:
        if has_lists:
            problem_type = "multi_label_classification"
        else:
            is_score = _are_scores(column, has_commas)
            problem_type = "regression" if is_score else "single_label_classification"
    notation = Notation(
        problem_type=problem_type,
        lists_in_texts=lists_in_texts,
        has_decimal_commas=has_commas,
        is_guessed=is_guessed,
    )
    if problem_type != "multi_label_classification":
        return notation
    num_flags = _num_flags(_lists(column, notation, separator))
    return replace(notation, has_decimal_commas=False, num_flags=num_flags)


class LabelReader:
    """Reads the cells of a row's label columns as they are written."""

    def __init__(self, files: OwnFiles, notation: Notation, labels: Sequence[str]) -> None:
        self._files = files
        self._notation = notation
        self._labels = labels
        self._indices = {label: index for index, label in enumerate(labels)}

    def read(self, cells: Cells, where: str) -> int | float | tuple[int, ...]:
        """Return the class, the score, or 0 and 1 for each label; raise UserError for anything
        else."""
        columns, first = self._files.label, f"{where}: column '{self._files.label[0]}'"
        kind = self._notation
        if kind.problem_type == "regression":
            return score_label(cells[0], first, has_decimal_commas=kind.has_decimal_commas)
        if kind.problem_type == "single_label_classification":
            return self._index_of(class_of(cells[0], first), first)
        if len(columns) > 1:
            named = zip(cells, columns, strict=True)
            return tuple(_flag(cell, f"{where}: column '{name}'") for cell, name in named)
        if kind.num_flags:
            return _flags(kind.items(cells[0], self._files.separator, first), kind, first)
        own = {self._index_of(word, first) for word in words_of(cells[0], self._files, kind, first)}
        return tuple(int(index in own) for index in range(len(self._labels)))

    def _index_of(self, word: str, where: str) -> int:
        index = self._indices.get(word)
        if index is None:
            raise UserError(
                f"unknown label {word[:40]!r}", where=where, allowed=", ".join(self._labels)
            )
        return index


def found_labels(
    rows: Iterable[tuple[Cells, str]], files: OwnFiles, notation: Notation
) -> tuple[str, ...]:
    """Return the labels in these rows, (cells, location) each: numbers by value, words by alphabet.

    For lists of 0 and 1 they are the indices in the list, from 0. Raises UserError for a row
    without a label, and for more than MOST_LABELS.
    """
    column, found = files.label[0], {str(index) for index in range(notation.num_flags)}
    for cells, location in rows:
        where = f"{location}: column '{column}'"
        if notation.num_flags:
            _flags(notation.items(cells[0], files.separator, where), notation, where)
        elif notation.problem_type == "single_label_classification":
            if notation.is_guessed:
                require_word(cells[0], where)
            found.add(class_of(cells[0], where))
        else:
            found.update(words_of(cells[0], files, notation, where))
        if len(found) > MOST_LABELS:
            raise UserError(
                f"more than {MOST_LABELS:,} different labels",
                where=where,
                allowed="a column of labels, problem_type: regression, or all of them in labels",
            )
    numbers = {word: number_of(word) for word in found}
    return tuple(sorted(found, key=lambda word: (numbers[word] is None, numbers[word] or 0, word)))


def require_word(cell: Any, where: str) -> None:
    """Raise UserError if a text is a list or an object, where the other cells are words."""
    if isinstance(cell, str) and is_no_word(cell):
        raise UserError(
            f"{cell[:40]!r} is not a word, but the other labels are", where=where,
            allowed=f"words, or a list in each cell: {FORMS}; for the name of a class, "
            "problem_type: single_label_classification in the study",
        )  # fmt: skip


def class_of(cell: Any, where: str) -> str:
    """Return the word for a class; raise UserError if the cell is empty or not a word."""
    word = word_of(cell)
    if word is None or not word.strip():
        wanted = "a word or a finite number"
        if is_missing(cell):
            raise MissingCellError("no label", where=where, wanted=wanted)
        raise UserError(f"{repr(cell)[:40]} is not a label", where=where, allowed=wanted)
    if len(word) > LONGEST_LABEL:
        raise UserError(
            f"the label has {len(word):,} characters, which is too long", where=where,
            allowed=f"at most {LONGEST_LABEL}",
        )  # fmt: skip
    check_text(word, where=where)
    return word


def words_of(cell: Any, files: OwnFiles, notation: Notation, where: str) -> tuple[str, ...]:
    """Return the words of a list, or between separators; none in an empty text or list."""
    items = notation.items(cell, files.separator, where)
    numbers = [item for item in items if isinstance(item, int | float)]
    if len({*numbers}) < len(numbers) or any(number % 1 for number in numbers):
        shown = ", ".join(map(str, items[:10]))
        raise UserError(
            f"[{shown[:40]}] holds neither labels nor 0 or 1 for each", where=where,
            allowed="the labels that hold, each once, or as many 0 and 1 as there are labels",
        )  # fmt: skip
    return tuple(class_of(item, where) for item in items)


def score_label(cell: Any, where: str, *, has_decimal_commas: bool = False) -> float:
    """Return the score; raise UserError if it is not a finite number."""
    number = number_of(cell, has_decimal_commas=has_decimal_commas)
    if number is None:
        allowed = "a finite number, as 1234.5"
        if has_decimal_commas:
            allowed = "a finite number, with a decimal comma, as others have; where they are " + (
                "several labels, problem_type: multi_label_classification"
            )
        raise UserError(f"{repr(cell)[:40]} is not a score", where=where, allowed=allowed)
    return number


def lacks_label(cells: Sequence[Any], notation: Notation, labels: Sequence[str]) -> bool:
    """Return whether there is no label in a row's cells.

    Words such as nan and N/A are none where scores are wanted, or where the labels are known and
    they are not among them. An empty text that could hold several labels says that none holds.
    """
    if len(cells) > 1 or notation.num_flags:
        return any(map(is_absent, cells))
    (cell,) = cells
    match notation.problem_type:
        case "regression":
            return is_missing(cell)
        case "multi_label_classification":
            return is_nothing(cell)
        case _:
            return is_absent(cell) or (
                is_missing(cell) and bool(labels) and word_of(cell) not in labels
            )


def _flags(items: Sequence[Any], notation: Notation, where: str) -> tuple[int, ...]:
    """Return 0 or 1 for each label; raise UserError if there are too few or many, or other
    values."""
    if len(items) != notation.num_flags:
        raise UserError(
            f"a list of {len(items)} where others have {notation.num_flags}", where=where,
            allowed="0 or 1 for each label",
        )  # fmt: skip
    return tuple(_flag(item, where) for item in items)


def _flag(cell: Any, where: str) -> int:
    flag = flag_of(cell)
    if flag is None:
        shown = repr(cell)[:40]
        raise UserError(f"{shown} is neither 0 nor 1", where=where, allowed=FLAGS)
    return flag


def are_lists_in_texts(column: Sequence[Any]) -> bool:
    """Return whether more than half of the non-empty texts are lists, at least one surely so."""
    texts = [cell for cell in column if isinstance(cell, str) and cell.strip()]
    lists = [text for text in texts if list_in(text) is not None]
    return 2 * len(lists) > len(texts) and any(map(is_list, lists))


def _is_sure_comma(cell: Any) -> bool:
    return isinstance(cell, str) and has_decimal_comma(cell)


def _have_decimal_commas(column: Sequence[Any], problem_type: ProblemType | None) -> bool:
    """Return whether a comma is surely a decimal one and all other cells could be such numbers.

    A few that could not, among numbers most of which have such a comma, are slips; so are all where
    a regression is asked for.
    """
    if problem_type not in (None, "regression"):
        return False
    texts = [cell for cell in column if isinstance(cell, str) and not _is_slip(cell)]
    others = sum(
        number_of(text, has_decimal_commas=True) is None and number_of(text) is None
        for text in texts
    )
    num_sure = sum(map(_is_sure_comma, texts))
    are_slips = others <= OFTEN * len(texts) and 2 * num_sure > len(texts)
    return num_sure > 0 and (others == 0 or are_slips or problem_type == "regression")


def _are_scores(column: Sequence[Any], has_commas: bool) -> bool:
    """Return whether the cells are numbers, one of them not whole; some may be missing or
    infinite."""
    if has_commas:
        return True
    has_fraction = False
    for cell in column:
        number = number_of(cell)
        if number is None and not _is_slip(cell):
            return False
        has_fraction = has_fraction or (number is not None and number != int(number))
    return has_fraction


def _is_slip(cell: Any) -> bool:
    """Return whether a cell is a slip among scores: nothing, or an infinite number."""
    return is_missing(cell) or is_infinite(cell)


def _lists(column: Sequence[Any], notation: Notation, separator: str) -> Iterator[list[Any]]:
    """Yield the lists that the cells are, without those that are none."""
    for cell in column:
        try:
            yield notation.items(cell, separator, "")
        except UserError:
            continue  # which is said with its place when the rows are read


def _num_flags(lists: Iterable[list[Any]]) -> int:
    """Return the length of lists of 0 and 1, or of most of them; 0 for lists of labels.

    Lists of the labels 0 and 1 hold each at most once, the smaller first, and differ in length.
    """
    lengths: Counter[int] = Counter()
    are_ids = True
    for items in lists:
        flags = [flag_of(item) for item in items]
        if None in flags:
            return 0
        lengths[len(flags)] += 1
        are_ids = are_ids and flags in IDS
    if not lengths:
        return 0
    most, _ = lengths.most_common(1)[0]
    if are_ids:
        return most if most > 1 and len(lengths) == 1 else 0
    return most if most > 1 else max(lengths)
