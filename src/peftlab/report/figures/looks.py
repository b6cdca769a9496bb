"""The colour and the shape of a name: the same in all figures, told apart by everyone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Look:
    """How what bears a name is drawn."""

    colour: str
    shape: str


def looks(shown: Sequence[str], every: Sequence[str] = ()) -> list[Look]:
    """A look for each of the names shown, by its place among `every` name (or those shown).

    Colours come again after eight names, with other shapes: 64 looks are different.

    >>> [look.shape for look in looks(["b", "c"], every=["a", "b", "c"])]
    ['square', 'diamond']
    """
    order = list(dict.fromkeys([*every, *shown]))
    places = (order.index(name) for name in shown)
    return [
        Look(
            PALETTE[place % len(PALETTE)],
            SHAPES[(place + place // len(PALETTE)) % len(SHAPES)],
        )
        for place in places
    ]
