"""The style of all figures: on light and dark backgrounds, in print, and side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from peftlab.report.figures.appearance import BREAK, appearances

# The colour of the text around the figure, black unless the page sets another.
INK = "currentColor"
FONT = "system-ui, sans-serif"
COLUMNS = 3
"""The number of panels in a line."""
WIDTH = 1060
"""The width of a figure in pixels, which is that of the page without its frame."""
SPACING = 20
"""The space between panels in pixels."""
AXIS = 64
"""The space beside a panel for an axis of numbers and its title, in pixels."""
LETTER, SYMBOL = 7, 36
"""The approximate width of a letter, and of a legend's symbol with its margins, in pixels."""
FAR = 4
"""The ratio of the largest to the smallest value at which an axis becomes logarithmic."""
PALE = 0.35
"""The opacity of arms that cannot be used."""
FRAME = 400
"""The area of a frame around a marker, in square pixels."""


def finish(chart: Any) -> dict[str, Any]:
    """Return the chart's Vega-Lite specification in the common style, without a background."""
    styled = (
        chart.configure(font=FONT, background="transparent")
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", grid=True,
                        labelColor=INK, titleColor=INK, labelLimit=320,
                        gridColor=INK, gridOpacity=0.13, domainColor=INK, domainOpacity=0.5,
                        tickColor=INK, tickOpacity=0.5)
        .configure_header(labelFontSize=13, labelFontWeight="bold", labelColor=INK, title=None,
                          labelLimit=300)
        .configure_legend(labelFontSize=12, titleFontSize=12, orient="bottom", columns=6,
                          labelLimit=480, labelColor=INK, titleColor=INK, symbolLimit=0)
        .configure_title(fontSize=13, color=INK)
        .configure_view(stroke=None)
    )  # fmt: skip
    specification: dict[str, Any] = styled.to_dict()
    # Legends stand one below the other: side by side their rows would not align.
    specification["config"]["legend"]["layout"] = {"bottom": {"direction": "vertical"}}
    return specification


def colours(field: str, shown: Sequence[str], every: Sequence[str] = ()) -> alt.Color:
    """Return a colour for each name shown, by its position in `every` (appearance.py)."""
    return alt.Color(
        f"{field}:N",
        sort=list(shown),
        scale=_scale(shown, [one.colour for one in appearances(shown, every)]),
        title=None,
        # Opaque even if the first layer is a pale band.
        legend=alt.Legend(symbolOpacity=1, columns=legend_columns(shown, WIDTH)),
    )


def legend_columns(names: Sequence[str], width: int) -> int:
    """Return the number of names that fit side by side into this many pixels, at most six.

    >>> legend_columns(["full", "lora"], 320), legend_columns(["full", "lora-10-epochs"] * 4, 320)
    (2, 2)
    """
    widest = max(map(len, names), default=0) * LETTER + SYMBOL
    return max(1, min(6, len(names), width // widest))


def shapes(field: str, shown: Sequence[str], every: Sequence[str] = ()) -> alt.Shape:
    """Return a shape for each name shown; the legend is shared with `colours`."""
    return alt.Shape(
        f"{field}:N",
        sort=list(shown),
        scale=_scale(shown, [one.shape for one in appearances(shown, every)]),
        title=None,
    )


def frame(base: Any, score: alt.Y) -> Any:
    """Return a layer with a frame around the points whose `use` is true.

    The other points are hidden, not left out, since a layer without a row in some panel has no
    extent there.
    """
    return base.mark_point(shape="square", size=FRAME, strokeWidth=2, stroke=INK).encode(
        y=score, opacity=alt.condition("datum.use", alt.value(1), alt.value(0))
    )


def panels(chart: Any, field: str, shown: Sequence[str], **resolve: str) -> Any:
    """Return a panel of the chart for each value of the field, in order, a few per line.

    `resolve` names the channels with a scale of their own in each panel, as in y="independent".
    """
    faceted = chart.facet(
        facet=alt.Facet(
            f"{field}:N",
            sort=list(shown),
            title=None,
            header=alt.Header(labelExpr=f"split(datum.label, '{BREAK}')"),
        ),
        columns=min(COLUMNS, len(shown)),
    )
    return faceted.resolve_scale(**resolve).resolve_axis(x="independent") if resolve else faceted


def panel_width(num_panels: int, *, beside: int = AXIS, own_axes: bool = False) -> int:
    """Return the width of each of this many panels so that the figure fills the page's width.

    `beside` is the number of pixels that an axis takes: in each panel if they have their
    `own_axes`, else only in the first.

    >>> panel_width(1), panel_width(3), panel_width(3, own_axes=True)
    (996, 318, 276)
    """
    columns = min(COLUMNS, num_panels)
    taken = beside * (columns if own_axes else 1) + SPACING * (columns - 1)
    return (WIDTH - taken) // columns


def beside_names(names: Sequence[str]) -> int:
    """Return the number of pixels that an axis with these names takes.

    >>> beside_names(["full", "lora"])
    36
    """
    return LETTER * max(map(len, names), default=0) + 8


AMOUNT = "format(datum.value, datum.value < 1 ? '~g' : '~s')"
"""The label of an amount: 0.5, 20, 3k. (With ~s alone half a second would be 500m.)"""


def amount_axis(
    panels_of_values: Sequence[Sequence[float]], title: str, *, field: str = "cost"
) -> alt.X:
    """Return an axis of positive amounts, logarithmic if they are far apart in any panel."""
    values = [value for panel in panels_of_values for value in panel]
    if min(values) > 0 and any(max(panel) >= FAR * min(panel) for panel in panels_of_values):
        scale = alt.Scale(type="log", nice=False, padding=18)
        axis = alt.Axis(values=log_ticks(min(values), max(values)), labelExpr=AMOUNT)
    else:
        scale = alt.Scale(zero=False, nice=False, padding=18)
        axis = alt.Axis(tickCount=4, labelExpr=AMOUNT, labelOverlap="greedy")
    return alt.X(f"{field}:Q", title=title, scale=scale, axis=axis)


def log_ticks(low: float, high: float) -> list[float]:
    """Return the powers of ten around the range, with their halves and fifths if it is short.

    >>> log_ticks(3e4, 2e7), log_ticks(20, 150)
    ([10000.0, 100000.0, 1000000.0, 10000000.0, 100000000.0], [20.0, 50.0, 100.0, 200.0])
    """
    steps = (1, 2, 5) if high < 100 * low else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [float(f"{step}e{power}") for power in powers for step in steps]
    below = max((tick for tick in every if tick <= low), default=low)
    above = min((tick for tick in every if tick >= high), default=high)
    return [tick for tick in every if below <= tick <= above]


def names_axis(names: Sequence[str], *, field: str = "arm") -> alt.Y:
    """Return an axis with a row for each of these names, in their order."""
    axis = alt.Axis(ticks=False, domain=False)
    scale = alt.Scale(type="band", padding=0)
    return alt.Y(f"{field}:N", sort=list(names), title=None, axis=axis, scale=scale)


def bars(base: Any, names: Sequence[str], *, field: str = "arm") -> Any:
    """Return a layer with a dashed line across each row at its `bar`; equal bars form one line."""
    axis = names_axis(names, field=field)
    return (
        base.transform_filter("isValid(datum.bar)")
        .mark_rule(strokeDash=[3, 3], color=INK, opacity=0.6)
        .encode(
            x=alt.X("max(bar):Q"),
            y=axis.bandPosition(0),
            y2=alt.Y2(f"{field}:N", bandPosition=1),
        )
    )


def score_axis(field: str = "score") -> alt.X:
    """Return the axis of scores for panels side by side."""
    axis = alt.Axis(tickCount=4, labelOverlap="greedy", labelSeparation=6)
    scale = alt.Scale(zero=False, padding=12)
    return alt.X(f"{field}:Q", title="score", scale=scale, axis=axis)


def setting_axis(values: Sequence[float | str], key: str, *, field: str = "value") -> alt.X:
    """Return an axis of a setting's values, logarithmic for positive numbers far apart."""
    ticks = list(dict.fromkeys(values))
    numbers = [value for value in ticks if isinstance(value, int | float)]
    if len(numbers) < len(ticks):
        names = [str(value) for value in ticks]
        return alt.X(f"{field}:N", title=key, sort=names, axis=alt.Axis(labelAngle=0))
    scale = alt.Scale(zero=False, padding=24)
    if min(numbers) > 0 and max(numbers) >= FAR * min(numbers):
        scale = alt.Scale(type="log", base=2, nice=False, padding=24)
    axis = alt.Axis(values=numbers, labelOverlap="greedy")
    return alt.X(f"{field}:Q", title=key, scale=scale, axis=axis)


def _scale(domain: Sequence[str], values: Sequence[str]) -> alt.Scale:
    return alt.Scale(domain=list(domain), range=list(values))
