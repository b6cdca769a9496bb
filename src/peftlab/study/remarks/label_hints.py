"""Labels that are probably no labels or numbers, or one label written in two ways."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from peftlab.data.label_cells import is_infinite, is_missing, looks_like_number, number_of
from peftlab.data.list_cells import is_no_word, list_in

MOST_HINTS = 10
PLAIN_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?")
"""The form of numbers that are plausible names of classes: 2, -1, 0.5."""


def label_hints(labels: Iterable[str]) -> list[str]:
    """Return a sentence on each oddity of a task's labels, up to MOST_HINTS.

    >>> label_hints(["pos", "neg", "nan"])
    ["'nan' is probably a missing label: leave out its rows, or give them one"]
    >>> label_hints(["pos", "pos ", "POS"])
    ["'POS', 'pos', 'pos ' are three labels that differ only in case and blanks: are they one?"]
    """
    labels = sorted(labels)
    alike: dict[str, list[str]] = defaultdict(list)
    hints = []
    for label in labels:
        if is_missing(label):
            hints.append(
                f"{label!r} is probably a missing label: leave out its rows, or give them one"
            )
        alike[_plain(label)].append(label)
    blank = [one for one, *more in alike.values() if not more and one != one.strip()]
    if blank:
        hints.append(
            f"labels such as {_shown(blank)} begin or end with a blank, which is part of them"
        )
    for group in alike.values():
        if len(group) > 1:
            number = {2: "two", 3: "three"}.get(len(group), str(len(group)))
            hints.append(
                f"{', '.join(map(repr, group))} are {number} labels that differ only in "
                f"{_difference(group)}: are they one?"
            )
    return [*_on_all([*labels]), *hints][:MOST_HINTS]


def _on_all(labels: Sequence[str]) -> Iterator[str]:
    """Yield what the labels together seem to be that words are not: numbers, or lists."""
    lists = [
        label for label in labels
        if is_no_word(label) or list_in(label) is not None or label[:1] + label[-1:] == "()"
    ]  # fmt: skip
    if lists:
        yield (
            f"labels such as {_shown(lists)} stand in brackets, and each is read as one word: "
            "lists of labels are known by commas or quotes in them"
        )
    quoted = [label for label in labels if len(label) > 2 and label[0] == label[-1] in ("'", '"')]
    if quoted:
        yield f"labels such as {_shown(quoted)} stand in quotes, which are part of them"
    numbers = [label for label in labels if looks_like_number(label)]
    infinite = [label for label in labels if is_infinite(label)]
    others = [
        label for label in labels
        if label not in numbers and not is_missing(label) and label not in infinite
    ]  # fmt: skip
    if infinite and len(numbers) > len(others):
        yield f"{_shown(infinite)} is infinite, where other labels are numbers: is it a label?"
    odd = [label for label in numbers if not PLAIN_NUMBER.fullmatch(label.strip())]
    values = [number_of(label) for label in numbers]
    has_fraction = any(value is not None and value % 1 for value in values)
    if len(numbers) <= len(others) or not (odd or (has_fraction and others)):
        return
    told = f"labels such as {_shown(odd or numbers)} look like numbers"
    told += f", {_shown(others)} does not" if others else ""
    yield (
        f"{told}: each is read as a class; where they are scores, write all as 1234.5, and "
        "problem_type: regression"
    )


def _shown(labels: Sequence[str]) -> str:
    return repr(labels[0][:40])


def _plain(label: str) -> str:
    """Return the label without invisible differences: case, blanks, its Unicode form; or its
    value."""
    if _is_exact(label):
        return repr(number_of(label))
    shown = "".join(
        " " if sign.isspace() else sign
        for sign in unicodedata.normalize("NFKC", label)
        if unicodedata.category(sign) != "Cf"  # such as a zero-width space
    )
    return " ".join(shown.split()).casefold()


def _is_exact(label: str) -> bool:
    """Return whether a float holds the number exactly as written."""
    return len(label) <= 15 and PLAIN_NUMBER.fullmatch(label.strip()) is not None


def _difference(group: list[str]) -> str:
    """Return the respect in which the similar labels differ."""
    found = []
    if len({label.casefold() for label in group}) < len({*group}):
        found.append("case")
    if len({"".join(label.split()) for label in group}) < len({*group}):
        found.append("blanks")
    if all(map(_is_exact, group)) and len({label.strip() for label in group}) > 1:
        return "how the number is written"
    folded = {" ".join(label.split()).casefold() for label in group}
    if len(folded) > 1:
        found.append("their Unicode form")
    return " and ".join(found) or "case and blanks"
