"""The estimates and their intervals as seeds were added: one panel for each comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peftlab.report.findings.questions import Question
from peftlab.report.findings.trajectory import trajectory
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Figure

MOST_LETTERS = 60


def trajectory_data(view: StudyView, asked: Sequence[Question]) -> list[dict[str, Any]]:
    """Return rows of question, number of seeds, difference in points and its interval.

    The interval is that for any number of looks; it has no ends (None) with too few seeds. `margin`
    is None where the question has none.
    """
    return [
        {
            "panel": _title(question),
            "seeds": num,
            "difference": found.estimate,
            "low": found.low if found.has_interval else None,
            "high": found.high if found.has_interval else None,
            "margin": question.margin,
        }
        for question in asked
        for num, found in trajectory(view, question)
    ]


def draw_trajectory(rows: Sequence[dict[str, Any]], *, name: str) -> Figure:
    """Return the figure, with lines at no difference and at the margins."""
    import altair as alt

    from peftlab.report.figures.appearance import NEUTRAL, PALETTE
    from peftlab.report.figures.style import INK, finish, panel_width, panels

    titles = list(dict.fromkeys(row["panel"] for row in rows))
    levels = [
        {**row, "bound": bound}
        for row in rows
        for bound in (0.0, *((row["margin"], -row["margin"]) if row["margin"] else ()))
    ]
    data = [{**row, "bound": None} for row in rows] + levels
    base = alt.Chart(alt.Data(values=data)).encode(
        x=alt.X("seeds:Q", title="seeds", axis=alt.Axis(tickMinStep=1, format="d")),
    )
    scored = base.transform_filter("!isValid(datum.bound)")
    score = alt.Y("difference:Q", title="difference in points", scale=alt.Scale(zero=False))
    layers = [
        scored.transform_filter("isValid(datum.low)")
        .mark_area(opacity=0.2, color=PALETTE[0])
        .encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.transform_filter("isValid(datum.bound)")
        .mark_line(strokeDash=[3, 3], color=NEUTRAL)
        .encode(y=alt.Y("bound:Q"), detail="bound:N"),
        scored.mark_line(color=INK).encode(y=score),
        scored.mark_point(filled=True, size=40, opacity=1, color=PALETTE[0]).encode(
            y=score,
            tooltip=[
                "panel:N",
                "seeds:Q",
                *(alt.Tooltip(f"{key}:Q", format=".2f") for key in ("difference", "low", "high")),
            ],
        ),
    ]
    chart = alt.layer(*layers).properties(width=panel_width(len(titles), own_axes=True), height=200)
    last = {row["panel"]: row for row in rows}
    words = "; ".join(
        f"{panel}: {row['difference']:+.1f} after {row['seeds']} seeds"
        for panel, row in last.items()
    )
    return Figure(
        name=name,
        title="How the differences went as seeds were added",
        description="The difference in points, with the 95% interval that holds for any number of "
        f"looks: {words}",
        specification=finish(panels(chart, "panel", titles, y="independent")),
    )


def _title(question: Question) -> str:
    from peftlab.report.figures.appearance import BREAK

    said = question.name
    if len(said) > MOST_LETTERS:
        said = f"{said[: MOST_LETTERS - 1]}…"
    pair = f"{BREAK}{question.pair[0]} less {question.pair[1]}" if question.pair else ""
    return f"{said}{pair}"
