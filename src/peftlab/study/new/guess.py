"""Guesses about a user's own table: which column is text, which label, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peftlab.core.errors import UserError
from peftlab.core.inputs import MissingPolicy, ProblemType
from peftlab.core.words import counted
from peftlab.data.class_names import MEANING, NO_LABEL, class_names, named, names_of
from peftlab.data.label_cells import flag_of, is_absent, is_missing, word_of
from peftlab.data.own_labels import (
    MOST_LABELS,
    Notation,
    are_lists_in_texts,
    class_of,
    notation_of,
    require_word,
)
from peftlab.data.read_options import AS_FOUND, ReadOptions
from peftlab.data.row_files import read_numbered, require_columns
from peftlab.study.new.separators import SEVERAL, Separated, separated

LABEL_NAMES = (
    "label", "labels", "target", "targets", "class", "category", "sentiment", "topic", "intent",
    "tags", "score", "rating", "stars", "gold", "y",
)  # fmt: skip
TEXT_NAMES = (
    "text", "sentence", "body", "review", "content", "comment", "message", "utterance", "tweet",
)  # fmt: skip
PAIRS = (
    ("premise", "hypothesis"), ("sentence1", "sentence2"), ("question1", "question2"),
    ("text1", "text2"), ("text_a", "text_b"), ("question", "answer"), ("question", "sentence"),
    ("question", "passage"), ("query", "document"),
)  # fmt: skip
ID_NAMES = ("id", "idx", "index", "row_id", "uid", "guid", "")
SAID = "as you said"
MOST_OTHERS = 3
"""The most columns that are named beside the one that is taken for the label."""


@dataclass(frozen=True, kw_only=True)
class Guess:
    """A value for a key of the study's data, and the reason for it."""

    key: str
    value: Any
    why: str


@dataclass(frozen=True, kw_only=True)
class Looked:
    """An inspected table: its rows, the guesses by key, and what the labels are.

    `names` are those that the file itself has for its classes, in their order, if any. `separated`
    is what stands between words in the labels, whether they are read as several or as one.
    """

    rows: Sequence[Mapping[str, Any]]
    guesses: Mapping[str, Guess]
    notation: Notation
    counts: Mapping[str, int]
    names: tuple[str, ...] = ()
    separated: Separated | None = None

    @property
    def problem_type(self) -> ProblemType:
        """The kind of problem."""
        return self.notation.problem_type

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns of the texts."""
        return _names(self.guesses["text"].value)


def look(
    path: Path,
    *,
    text: Sequence[str] | None = None,
    label: Sequence[str] | None = None,
    options: ReadOptions = AS_FOUND,
    missing: MissingPolicy = "error",
) -> Looked:
    """Return what the file probably holds; given answers are taken as they are.

    `counts` are the rows that have each label, of all that are not left out. Raises UserError
    where the file cannot be read, or no column looks like a label or like a text.
    """
    numbered = [row for part in read_numbered(path, options=options) for row in part]
    rows = [row for _, row in numbered]
    names = [*rows[0]]
    for name in (*(text or ()), *(label or ())):
        require_columns(rows[0], [name], where=str(path))
    columns = {name: [row.get(name) for row in rows] for name in names}
    known = class_names(str(path))
    for name in {*known} & {*columns}:
        if len({*known[name]}) < len(known[name]):
            continue  # which is refused if the column is the label
        cells = [named(cell, known[name]) for cell in columns[name]]
        if any(cell is not None for cell in cells):
            columns[name] = cells
    seen = columns if missing == "error" else _present(columns)
    taken = set(text or ())
    label_guess = _label({k: v for k, v in seen.items() if k not in taken}, label, str(path))
    taken = {*_names(label_guess.value)}
    text_guess = _text({k: v for k, v in seen.items() if k not in taken}, text, str(path))
    guesses = [text_guess, label_guess]
    own = sorted(taken, key=names.index)
    if missing == "drop":
        wanted = [*own, *_names(text_guess.value)]
        full = [
            index for index in range(len(rows))
            if not any(is_absent(columns[name][index]) for name in wanted)
        ]  # fmt: skip
        rows, numbered = [rows[index] for index in full], [numbered[index] for index in full]
        columns = {name: [cells[index] for index in full] for name, cells in columns.items()}
    cells = [columns[name] for name in own]
    of_file = names_of(str(path), own[0]) if len(own) == 1 else ()
    notation, separator, found = notation_of([*zip(*cells, strict=True)], ","), None, None
    if notation.problem_type == "single_label_classification" and not of_file:
        for (number, _), cell in zip(numbered, cells[0], strict=True):
            where = f"{path}:{number}: column '{own[0]}'"
            require_word(cell, where)
            class_of(cell, where)
        found = separated(cells[0])
    if found is not None and found.is_plain:
        separator = found.separator
        guesses.append(Guess(key="separator", value=separator, why="stands between the labels"))
        notation = notation_of(((cell,) for cell in cells[0]), separator, SEVERAL)
    kind = _problem_type(cells, notation, separator)
    counts = Counter(dict.fromkeys(of_file, 0))
    counts.update(_counts(cells, own, notation, separator or ","))
    return Looked(
        rows=rows,
        guesses={guess.key: guess for guess in (*guesses, kind)},
        notation=notation,
        counts=counts,
        names=of_file,
        separated=found,
    )


def _present(columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the columns without empty cells, and without empty columns."""
    found = {
        name: [cell for cell in cells if not is_absent(cell)] for name, cells in columns.items()
    }
    return {name: cells for name, cells in found.items() if cells}


def _names(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _label(columns: Mapping[str, list[Any]], said: Sequence[str] | None, where: str) -> Guess:
    if said is not None:
        return Guess(key="label", value=_one_or_more(said), why=SAID)
    by_name = {name.casefold(): name for name in reversed([*columns])}
    for name in LABEL_NAMES:
        own = by_name.get(name)
        if own is not None and _num_different(columns[own]) > 1:
            return Guess(key="label", value=own, why="column name suggests labels")
    for name, cells in columns.items():
        if any(isinstance(cell, list) for cell in cells) or are_lists_in_texts(cells):
            return Guess(key="label", value=name, why="holds lists")
    flags = [name for name, cells in columns.items() if _are_flags(cells)]
    if len(flags) > 1:
        return Guess(key="label", value=flags, why="columns of 0 and 1: each is a label")
    _require_labels(columns, [by_name[name] for name in LABEL_NAMES if name in by_name], where)
    different = {
        name: _num_different(cells)
        for name, cells in columns.items()
        if name.casefold() not in ID_NAMES
    }
    fitting = [name for name, num in different.items() if 1 < num <= MOST_LABELS]
    repeated = [name for name in fitting if different[name] <= len(columns[name]) / 2]
    if not repeated:
        alone = [name for name, cells in columns.items() if _num_different(cells) == 1]
        _require_labels(columns, alone, where)
        raise UserError(
            "no column looks like a label",
            where=where,
            allowed=f"--label with one of {', '.join(columns)}",
        )
    best, *others = sorted(repeated, key=lambda name: different[name])
    why = f"fewest distinct values ({different[best]})"
    if others:
        shown = ", ".join(f"{name} ({different[name]})" for name in others[:MOST_OTHERS])
        why += f"; or --label {shown}"
    return Guess(key="label", value=best, why=why)


def _require_labels(columns: Mapping[str, list[Any]], names: Sequence[str], where: str) -> None:
    """Raise UserError for the first of these columns, whose cells are all equal or empty."""
    for name in names:
        cell = columns[name][0]
        what = f"leaves nothing to learn: every row has the label {str(cell)[:40]!r}"
        if is_missing(cell):
            what = "has no label in any row"
        elif word_of(cell) == NO_LABEL:
            what = f"has {NO_LABEL} in all rows, {MEANING}"
        others = [
            own for own, cells in columns.items() if 1 < _num_different(cells) <= len(cells) / 2
        ]
        said = f", or --label with one of {', '.join(others)}" if others else ""
        raise UserError(
            f"the column '{name}' {what}",
            where=where,
            allowed=f"rows with two labels or more{said}",
        )


def _text(columns: Mapping[str, list[Any]], said: Sequence[str] | None, where: str) -> Guess:
    if said is not None:
        return Guess(key="text", value=_one_or_more(said), why=SAID)
    by_name = {name.casefold(): name for name in reversed([*columns])}
    lengths = {
        name: sum(map(len, cells)) / len(cells)
        for name, cells in columns.items()
        if name.casefold() not in ID_NAMES and all(isinstance(cell, str) for cell in cells)
    }
    for pair in PAIRS:
        own = [by_name[name] for name in pair if name in by_name]
        if len(own) == 2 and all(name in lengths for name in own):
            return Guess(key="text", value=own, why="column names suggest a pair of texts")
    for name in TEXT_NAMES:
        if by_name.get(name) in lengths:
            return Guess(key="text", value=by_name[name], why="column name suggests text")
    if not lengths:
        raise UserError(
            "no column looks like a text",
            where=where,
            allowed=f"--text with one of {', '.join(columns)}",
        )
    longest = max(lengths, key=lambda name: lengths[name])
    return Guess(
        key="text",
        value=longest,
        why=f"the longest texts: {lengths[longest]:.0f} characters on average",
    )


def _problem_type(columns: Sequence[list[Any]], notation: Notation, separator: str | None) -> Guess:
    kind = notation.problem_type
    why = counted(_num_different(columns[0]), "distinct value")
    if notation.num_flags:
        why = f"lists of {notation.num_flags} values, 0 or 1 for each label"
    elif separator is not None:
        why = f"words with '{separator}' between them"
    elif kind == SEVERAL:
        why = "one column for each label" if len(columns) > 1 else "lists of labels"
    elif notation.has_decimal_commas:
        why = "numbers with decimal commas"
    elif kind == "regression":
        why = "numbers, not all of them whole"
    return Guess(key="problem_type", value=kind, why=why)


def _counts(
    columns: Sequence[list[Any]], names: Sequence[str], notation: Notation, separator: str
) -> Counter[str]:
    """Return how many rows have each label."""
    counts: Counter[str] = Counter()
    if notation.problem_type == "regression":
        return counts
    if len(columns) > 1:
        for name, cells in zip(names, columns, strict=True):
            counts[name] = sum(flag_of(cell) == 1 for cell in cells)
        return counts
    if notation.num_flags:
        counts.update({str(index): 0 for index in range(notation.num_flags)})
    for cell in columns[0]:
        if notation.problem_type == SEVERAL:
            counts.update(_labels_in(cell, notation, separator))
        else:
            counts[word_of(cell) or ""] += 1
    del counts[""]  # which is no label, and is named with its line when the rows are read
    return counts


def _labels_in(cell: Any, notation: Notation, separator: str) -> set[str]:
    """Return the labels that hold in a cell, each once; none if reading would refuse the cell."""
    try:
        items = notation.items(cell, separator, "")
    except UserError:
        return set()
    if notation.num_flags:
        return {str(index) for index, item in enumerate(items) if flag_of(item) == 1}
    return {word_of(item) or "" for item in items}


def _are_flags(cells: Sequence[Any]) -> bool:
    flags = {flag_of(cell) for cell in cells}
    return flags == {0, 1}


def _num_different(cells: Sequence[Any]) -> int:
    words = (word_of(cell) for cell in cells)
    return len(
        {
            str(cell) if word is None and not is_missing(cell) else word
            for word, cell in zip(words, cells, strict=True)
        }
    )


def _one_or_more(names: Sequence[str]) -> str | list[str]:
    return names[0] if len(names) == 1 else [*names]
