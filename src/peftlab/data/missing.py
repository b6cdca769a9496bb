"""The parts that a row must have: a text, or a label, by how the labels are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peftlab.data.label_cells import is_absent, is_missing, is_nothing, word_of
from peftlab.data.own_labels import Notation


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
