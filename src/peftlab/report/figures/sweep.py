"""Scores, and numbers of trainable parameters, against a swept setting."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import JsonValue

from peftlab.report.figures.appearance import panel_title
from peftlab.report.figures.scores import in_words
from peftlab.report.findings.costs import COSTS, mean_cost
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Figure
from peftlab.study.arms import Arm


def sweep_data(view: StudyView, arms: Sequence[Arm], key: str) -> list[dict[str, Any]]:
    """Return rows of task, line, the setting's value, the score with its interval, and parameters.

    A line joins the arms that differ only in this setting; the other swept settings name it.
    """
    rows = []
    for task in view.tasks:
        for arm in arms:
            summary = view.summary(arm, task)
            learned = view.learned(arm, task)
            if summary is not None and learned is not None and key in arm.swept:
                rows.append(
                    {
                        "task": task.name,
                        "panel": panel_title(task),
                        "arm": view.label(arm),
                        "line": _line(arm, key),
                        "value": _value(arm.swept[key]),
                        "score": summary.mean,
                        "low": summary.low,
                        "high": summary.high,
                        "state": learned.state,
                        "parameters": mean_cost(view, arm, task, "parameters"),
                    }
                )
    return rows


def draw_sweep(
    rows: Sequence[dict[str, Any]], *, key: str, name: str, scored: str = "on dev"
) -> Figure:
    """Draw one panel per task, and one for trainable parameters if they are known and differ."""
    import altair as alt

    from peftlab.report.figures.appearance import PALETTE
    from peftlab.report.figures.style import (
        colours,
        finish,
        panel_width,
        panels,
        setting_axis,
        shapes,
    )

    lines = list(dict.fromkeys(row["line"] for row in rows))
    titles = list(dict.fromkeys(row["panel"] for row in rows))
    x = setting_axis([row["value"] for row in rows], key)
    is_one = len(lines) == 1
    colour = alt.value(PALETTE[0]) if is_one else colours("line", lines)
    base = alt.Chart(alt.Data(values=list(rows))).encode(x=x, color=colour)
    drawn = base.mark_line().encode(y=alt.Y("score:Q", title="score", scale=alt.Scale(zero=False)))
    points = base.mark_point(filled=True, size=55, opacity=1).encode(
        y="score:Q",
        **({} if is_one else {"shape": shapes("line", lines)}),
        tooltip=[
            "panel:N",
            "arm:N",
            "state:N",
            *(alt.Tooltip(f"{k}:Q", format=".1f") for k in SCORES),
        ],
    )
    intervals = base.mark_rule(opacity=0.6).encode(y=alt.Y("low:Q"), y2="high:Q")
    width = panel_width(len(titles), own_axes=True)
    chart: Any = panels(
        alt.layer(intervals, drawn, points).properties(width=width, height=200),
        "panel", titles, x="independent", y="independent",
    )  # fmt: skip
    counts = list(dict.fromkeys((row["line"], row["value"], row["parameters"]) for row in rows))
    known = [count for _, _, count in counts if count is not None]
    if len(set(known)) > 1:
        of_first = [row for row in rows if row["panel"] == titles[0]]
        chart = alt.vconcat(
            chart,
            alt.Chart(alt.Data(values=of_first), title=alt.Title(COSTS["parameters"].title))
            .mark_line(point=True)
            .encode(
                x=x,
                color=colour,
                y=alt.Y("parameters:Q", title=None, axis=alt.Axis(format="~s", tickCount=4)),
                tooltip=["arm:N", alt.Tooltip("parameters:Q", format=",")],
            )
            .properties(width=width, height=120),
        )
    return Figure(
        name=name,
        title=f"Score against {key}",
        description=f"Main score {scored}, mean over seeds with its 95% interval, by {key}: "
        + "; ".join(map(in_words, rows)),
        specification=finish(chart),
    )


SCORES = ("score", "low", "high")


def _value(value: JsonValue) -> float | str:
    """Return a number as it is, for an axis of numbers; anything else as text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return ", ".join(map(str, value)) if isinstance(value, list) else json.dumps(value).strip('"')


def _line(arm: Arm, key: str) -> str:
    others = [f"{name} {value}" for name, value in arm.swept.items() if name != key]
    return ", ".join([arm.base, *others])
