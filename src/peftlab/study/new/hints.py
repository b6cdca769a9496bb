"""Hints on the rows of a user's own file that `peftlab new` gives beside the study."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from peftlab.core.errors import one_line
from peftlab.core.selection import Selection
from peftlab.core.words import counted
from peftlab.study.new.guess import Guess, Looked
from peftlab.study.new.separators import Separated
from peftlab.study.remarks.label_hints import label_hints

FEW_ROWS = 500
RARE = 5
UNEVEN = 5
"""The ratio of the largest to the smallest class beyond which accuracy flatters."""
TOKENS_PER_WORD, LONGEST = 1.4, 512
"""The usual number of WordPiece tokens in an English word, and the positions of the encoders."""


@dataclass(frozen=True, kw_only=True)
class ClassSize:
    """A class of the data and the number of its rows."""

    name: str
    count: int


def hints_on_rows(looked: Looked, words: int) -> list[str]:
    """Return hints on labels and lengths; 95% of the rows have at most `words` words."""
    hints = []
    if is_uneven(looked):
        smallest, largest = smallest_and_largest(looked)
        hints.append(
            f"'{largest.name}' has {largest.count:,} rows and '{smallest.name}' "
            f"{smallest.count:,}: always answering '{largest.name}' scores an accuracy of "
            f"{largest.count / len(looked.rows):.0%}, so f1_macro, in which each class counts "
            "alike, stands first"
        )
    hints += label_hints(looked.counts)
    if looked.notation.num_flags:
        hints.append(
            "the labels are called by their places in the lists, from 0: labels may name them"
        )
    if looked.separated is not None and not looked.notation.num_flags:
        hints.append(_on_separator(looked.separated))
    if looked.notation.has_decimal_commas:
        hints.append(
            "labels such as 1,5 are read as numbers: where they are several labels, write "
            "problem_type: multi_label_classification"
        )
    rare = [name for name, count in looked.counts.items() if count < RARE]
    if rare:
        hints.append(f"fewer than {RARE} rows have the label {', '.join(sorted(rare)[:10])}")
    tokens = math.ceil(words * TOKENS_PER_WORD)
    if tokens > LONGEST:
        hints.append(
            f"one text in 20 has more than about {tokens:,} tokens: what is beyond {LONGEST} is "
            "cut off"
        )
    return [one_line(hint) for hint in hints]


def few_rows_hints(num_rows: int, guesses: Sequence[Guess], folds: int | None) -> list[str]:
    """Return a hint that scores on few rows are noisy; none if there are enough rows."""
    if num_rows >= FEW_ROWS:
        return []
    few = f"{counted(num_rows, 'row')} are few: "
    if folds is not None:
        return [f"{few}scores are noisy, and the intervals of the report will say so"]
    dev = next(one.value for one in guesses if one.key == "dev")
    if not isinstance(dev, float):
        return [f"{few}runs differ by luck, and the intervals of the report will say so"]
    num_dev = Selection(fraction=dev).num_held_out(num_rows)
    return [f"{few}scores on {num_dev:,} of them are noisy; with --folds 5 all are scored"]


def is_uneven(looked: Looked) -> bool:
    """Return whether one class is so common that always answering it scores well."""
    if looked.problem_type != "single_label_classification" or not looked.counts:
        return False
    smallest, largest = smallest_and_largest(looked)
    return UNEVEN * smallest.count < largest.count


def smallest_and_largest(looked: Looked) -> tuple[ClassSize, ClassSize]:
    """Return the class with the fewest rows and the class with the most."""
    every = [ClassSize(name=name, count=count) for name, count in looked.counts.items()]
    return min(every, key=lambda one: one.count), max(every, key=lambda one: one.count)


def _on_separator(found: Separated) -> str:
    example, several = repr(found.example[:40]), "problem_type: multi_label_classification"
    if found.is_plain:
        return (
            f"labels such as {example} are read as several, with '{found.separator}' between "
            "them: where each is one, write problem_type: single_label_classification, and leave "
            "out separator and labels"
        )
    return (
        f"labels such as {example} are read as one each: where they are several, write {several}, "
        f"separator: '{found.separator}', and leave out labels and metrics"
    )
