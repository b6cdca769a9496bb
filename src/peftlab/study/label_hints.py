"""Labels that are probably no labels, or one label written in two ways."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from peftlab.data.label_cells import is_missing

MOST_HINTS = 10


def label_hints(labels: Iterable[str]) -> list[str]:
    """A sentence for each thing that is odd about these labels of a task.

    >>> label_hints(["pos", "neg", "nan"])
    ["'nan' is probably a missing label: leave out its rows, or give them one"]
    >>> label_hints(["pos", "pos ", "POS"])
    ["'POS', 'pos', 'pos ' are three labels that differ only in case and blanks: are they one?"]
    """
    alike: dict[str, list[str]] = defaultdict(list)
    hints = []
    for label in sorted(labels):
        if is_missing(label):
            hints.append(
                f"{label!r} is probably a missing label: leave out its rows, or give them one"
            )
        alike[_plain(label)].append(label)
    for group in alike.values():
        if len(group) > 1:
            number = {2: "two", 3: "three"}.get(len(group), str(len(group)))
            hints.append(
                f"{', '.join(map(repr, group))} are {number} labels that differ only in "
                f"{_difference(group)}: are they one?"
            )
    return hints[:MOST_HINTS]


def _plain(label: str) -> str:
    """The label without what does not show: its case, its blanks, its Unicode form."""
    shown = "".join(
        " " if sign.isspace() else sign
        for sign in unicodedata.normalize("NFKC", label)
        if unicodedata.category(sign) != "Cf"  # such as a zero-width space
    )
    return " ".join(shown.split()).casefold()


def _difference(group: list[str]) -> str:
    """What the labels that are alike differ in."""
    found = []
    if len({label.casefold() for label in group}) < len({*group}):
        found.append("case")
    if len({"".join(label.split()) for label in group}) < len({*group}):
        found.append("blanks")
    folded = {" ".join(label.split()).casefold() for label in group}
    if len(folded) > 1:
        found.append("their Unicode form")
    return " and ".join(found) or "case and blanks"
