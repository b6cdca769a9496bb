"""How all figures look."""

from __future__ import annotations

from typing import Any

import altair as alt

# Okabe and Ito's colours, told apart by colour-blind readers too (jfly.uni-koeln.de/color).
PALETTE = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7A7A7A", "#B8A800",
)  # fmt: skip
FONT = "system-ui, sans-serif"


def finish(chart: Any) -> dict[str, Any]:
    """The chart's Vega-Lite specification in the house's look."""
    styled = (
        chart.configure(font=FONT, background="white")
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", grid=True,
                        gridColor="#e8e8e8", domainColor="#999", tickColor="#999")
        .configure_header(labelFontSize=13, labelFontWeight="bold", title=None)
        .configure_legend(labelFontSize=12, titleFontSize=12, orient="bottom", columns=4,
                          labelLimit=260)
        .configure_view(stroke=None)
    )  # fmt: skip
    specification: dict[str, Any] = styled.to_dict()
    return specification


def colours(title: str, names: list[str]) -> alt.Color:
    """A colour for each of the names, in their order."""
    palette = [PALETTE[index % len(PALETTE)] for index in range(len(names))]
    return alt.Color(
        f"{title}:N",
        sort=names,
        scale=alt.Scale(domain=names, range=palette),
        title=None,
        legend=alt.Legend(symbolOpacity=1),  # also where the first layer is a pale band
    )
