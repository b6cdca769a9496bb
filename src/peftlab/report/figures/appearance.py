"""How tasks and arms appear in all figures: titles of panels, and colours and shapes of names.

A name has the same colour and shape in each of them, which everyone can tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from peftlab.core.scores import greater_is_better
from peftlab.tasks.spec import Task

# Each has a contrast of 3 to 1 or more on white and on the page's dark paper, and no two of them
# look alike to readers who lack one of the three kinds of cones.
PALETTE = (
    "#3E5BE0", "#E26E14", "#087548", "#9E5186", "#0F9CD8", "#A84B0C", "#908A88", "#BC8040",
)  # fmt: skip
SHAPES = (
    "circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "triangle-right",
    "triangle-left",
)  # fmt: skip
BETTER, WORSE, NEUTRAL = PALETTE[0], PALETTE[1], PALETTE[6]
BREAK = " · "
"""The separator after which the title of a panel continues on a new line."""


def panel_title(task: Task) -> str:
    """Return what stands above a task's panel: its name and its main metric."""
    less = "" if greater_is_better(task.main_metric) else " (lower is better)"
    return f"{task.name}{BREAK}{task.main_metric.replace('_', ' ')}{less}"


@dataclass(frozen=True)
class Appearance:
    """The way in which everything of one name is drawn."""

    colour: str
    shape: str


def appearances(shown: Sequence[str], every: Sequence[str] = ()) -> list[Appearance]:
    """Return the appearance of each name shown, by its place among `every` name or those shown.

    Colours come again after eight names, with other shapes: 64 appearances are different.

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
