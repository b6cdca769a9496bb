"""What a table of a person's own probably is: which column is text, which label, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peftlab.core.errors import UserError
from peftlab.core.types import ProblemType
from peftlab.data.own_labels import MOST_LABELS, YES_OR_NO, guess_problem_type, word_of
from peftlab.data.row_files import read_rows, require_columns

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
SEPARATORS = ("|", ";", ",")
OFTEN = 0.05
"""At least so many of the cells with several words make a column one of several labels."""


@dataclass(frozen=True, kw_only=True)
class Guess:
    """The value of a key of the study's data, and why."""

    key: str
    value: Any
    why: str


@dataclass(frozen=True, kw_only=True)
class Looked:
    """A table that was looked at: its rows, the guesses by key, and what the labels are."""

    rows: Sequence[Mapping[str, Any]]
    guesses: Mapping[str, Guess]
    problem_type: ProblemType
    counts: Mapping[str, int]

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns of the texts."""
        value = self.guesses["text"].value
        return (value,) if isinstance(value, str) else tuple(value)


def look(
    path: Path, *, text: Sequence[str] | None = None, label: Sequence[str] | None = None
) -> Looked:
    """What the file probably holds; what is said is taken as it is.

    `counts` are the rows that have each label, of all rows. Raises UserError where the file cannot
    be read, or no column looks like a label or like a text.
    """
    rows = [row for part in read_rows(path) for row in part]
    names = [*rows[0]]
    for name in (*(text or ()), *(label or ())):
        require_columns(rows[0], [name], where=str(path))
    columns = {name: [row.get(name) for row in rows] for name in names}
    taken = set(text or ())
    label_guess = _label({k: v for k, v in columns.items() if k not in taken}, label, str(path))
    taken = {label_guess.value} if isinstance(label_guess.value, str) else {*label_guess.value}
    text_guess = _text({k: v for k, v in columns.items() if k not in taken}, text, str(path))
    guesses = [text_guess, label_guess]
    cells = [columns[name] for name in sorted(taken, key=names.index)]
    separator = _separator(cells[0]) if len(cells) == 1 else None
    if separator is not None:
        guesses.append(Guess(key="separator", value=separator, why="stands between the labels"))
    kind = _problem_type(cells, separator)
    return Looked(
        rows=rows,
        guesses={guess.key: guess for guess in (*guesses, kind)},
        problem_type=kind.value,
        counts=_counts(cells, [*sorted(taken, key=names.index)], kind.value, separator),
    )


def _label(columns: Mapping[str, list[Any]], said: Sequence[str] | None, where: str) -> Guess:
    if said is not None:
        return Guess(key="label", value=_one_or_more(said), why=SAID)
    by_name = {name.casefold(): name for name in reversed([*columns])}
    for name in LABEL_NAMES:
        own = by_name.get(name)
        if own is not None and _num_different(columns[own]) > 1:
            return Guess(key="label", value=own, why="called as labels are")
    for name, cells in columns.items():
        if any(isinstance(cell, list) for cell in cells):
            return Guess(key="label", value=name, why="holds lists")
    flags = [name for name, cells in columns.items() if _are_flags(cells)]
    if len(flags) > 1:
        return Guess(key="label", value=flags, why="columns of 0 and 1: each is a label")
    different = {
        name: _num_different(cells)
        for name, cells in columns.items()
        if name.casefold() not in ID_NAMES
    }
    fitting = [name for name, num in different.items() if 1 < num <= MOST_LABELS]
    repeated = [name for name in fitting if different[name] <= len(columns[name]) / 2]
    if not repeated:
        raise UserError(
            "no column looks like a label",
            where=where,
            allowed=f"--label with one of {', '.join(columns)}",
        )
    best = min(repeated, key=lambda name: different[name])
    return Guess(key="label", value=best, why=f"has the fewest different values: {different[best]}")


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
            return Guess(key="text", value=own, why="called as pairs of texts are")
    for name in TEXT_NAMES:
        if by_name.get(name) in lengths:
            return Guess(key="text", value=by_name[name], why="called as texts are")
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
        why=f"the longest texts: {lengths[longest]:.0f} characters in the mean",
    )


def _problem_type(columns: Sequence[list[Any]], separator: str | None) -> Guess:
    rows = [*zip(*columns, strict=True)]
    kind = guess_problem_type(rows)
    why = f"{_num_different(columns[0])} different values"
    if separator is not None:
        kind, why = "multi_label_classification", f"words with '{separator}' between them"
    elif kind == "multi_label_classification":
        why = "a column a label" if len(columns) > 1 else "lists of labels"
    elif kind == "regression":
        why = "numbers, not all of them whole"
    return Guess(key="problem_type", value=kind, why=why)


def _separator(cells: Sequence[Any]) -> str | None:
    """What stands between several labels in a text: few words that come back; None for nothing."""
    texts = [cell for cell in cells if isinstance(cell, str)]
    if len(texts) < len(cells):
        return None
    for separator in SEPARATORS:
        several = [cell for cell in texts if separator in cell.strip(separator)]
        words = {word.strip() for cell in texts for word in cell.split(separator)} - {""}
        repeats = len(words) <= MOST_LABELS and len(words) <= len(texts) / 2
        is_word = all(len(word.split()) <= 3 for word in words)
        if len(several) > OFTEN * len(texts) and repeats and is_word:
            return separator
    return None


def _counts(
    columns: Sequence[list[Any]],
    names: Sequence[str],
    problem_type: ProblemType,
    separator: str | None,
) -> Counter[str]:
    """How many rows have each label."""
    counts: Counter[str] = Counter()
    if problem_type == "regression":
        return counts
    if len(columns) > 1:
        for name, cells in zip(names, columns, strict=True):
            counts[name] = sum(_flag(cell) == 1 for cell in cells)
        return counts
    for cell in columns[0]:
        if separator is not None:
            counts.update({word.strip() for word in str(cell).split(separator)} - {""})
        elif isinstance(cell, list):
            counts.update({word_of(word) or "" for word in cell} - {""})
        else:
            counts[word_of(cell) or ""] += 1
    del counts[""]  # which is no label, and is named with its line when the rows are read
    return counts


def _are_flags(cells: Sequence[Any]) -> bool:
    flags = {_flag(cell) for cell in cells}
    return flags == {0, 1}


def _flag(cell: Any) -> int | None:
    return YES_OR_NO.get((word_of(cell) or "").strip().lower())


def _num_different(cells: Sequence[Any]) -> int:
    return len({word_of(cell) if not isinstance(cell, list) else str(cell) for cell in cells})


def _one_or_more(names: Sequence[str]) -> str | list[str]:
    return names[0] if len(names) == 1 else [*names]
