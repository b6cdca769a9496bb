"""The appearance of tasks and arms in all figures: titles of panels, colours and shapes.

A name has the same colour and shape in every figure, which all readers can tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from peftlab.tasks.scores import greater_is_better
from peftlab.tasks.spec import Task

# Each has a contrast of at least 3 to 1 on white and on the page's dark background, and no two look
# alike to readers with any form of colour blindness.
PALETTE = (
    "#3E5BE0", "#E26E14", "#087548", "#9E5186", "#0F9CD8", "#A84B0C", "#908A88", "#BC8040",
)  # fmt: skip
SHAPES = (
    "circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "triangle-right",
    "triangle-left",
)  # fmt: skip
BETTER, WORSE, NEUTRAL = PALETTE[0], PALETTE[1], PALETTE[6]
BREAK = " · "
"""The separator after which a panel's title continues on a new line."""


def panel_title(task: Task) -> str:
    """Return the title of a task's panel: the task's name and main metric."""
    less = "" if greater_is_better(task.main_metric) else " (lower is better)"
    return f"{task.name}{BREAK}{task.main_metric.replace('_', ' ')}{less}"


@dataclass(frozen=True)
class Appearance:
    """The colour and the shape in which everything of one name is drawn."""

    colour: str
    shape: str


def appearances(shown: Sequence[str], every: Sequence[str] = ()) -> list[Appearance]:
    """Return the appearance of each name shown, by its position in `every` (or in `shown`).

    Colours repeat after eight names, with other shapes, so that 64 appearances are distinct.

    >>> [one.shape for one in appearances(["b", "c"], every=["a", "b", "c"])]
    ['square', 'diamond']
    """
    order = list(dict.fromkeys([*every, *shown]))
    places = (order.index(name) for name in shown)
    return [
        Appearance(
            PALETTE[place % len(PALETTE)],
            SHAPES[(place + place // len(PALETTE)) % len(SHAPES)],
        )
        for place in places
    ]
