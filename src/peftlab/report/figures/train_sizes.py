"""Scores against the number of training rows: a panel a task, a line an arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peftlab.report.figures.appearance import panel_title
from peftlab.report.findings.train_sizes import curve, expected_on_twice
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Figure
from peftlab.stats.power_law import NoPrediction
from peftlab.study.arms import Arm


def train_sizes_data(view: StudyView, arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Return rows of task, arm, number of training rows, and the score with its interval.

    The last one of an arm may be `is_expected`: what a power law says of twice the rows.
    """
    rows: list[dict[str, Any]] = []
    for task in view.tasks:
        for arm in arms:
            common = {"task": task.name, "panel": panel_title(task), "arm": view.label(arm)}
            for point in curve(view, arm, task):
                found = point.summary
                rows.append(
                    {
                        **common,
                        "rows": point.num_rows,
                        "score": found.mean,
                        "low": found.low,
                        "high": found.high,
                        "is_expected": False,
                    }
                )
            expected = expected_on_twice(view, arm, task)
            if not isinstance(expected, NoPrediction):
                rows.append(
                    {
                        **common,
                        "rows": expected.num_rows,
                        "score": expected.merit,
                        "low": expected.low,
                        "high": expected.high,
                        "is_expected": True,
                    }
                )
    return rows


def draw_train_sizes(
    rows: Sequence[dict[str, Any]], *, name: str, every: Sequence[str], scored: str = "on dev"
) -> Figure:
    """Return the figure: what is measured is drawn full, what is expected is open and dashed."""
    import altair as alt

    from peftlab.report.figures.style import (
        colours,
        finish,
        log_ticks,
        panel_width,
        panels,
        shapes,
    )

    arms = list(dict.fromkeys(row["arm"] for row in rows))
    titles = list(dict.fromkeys(row["panel"] for row in rows))
    numbers = [row["rows"] for row in rows]
    place = alt.X(
        "rows:Q",
        title="training rows",
        scale=alt.Scale(type="log", nice=False, padding=18),
        axis=alt.Axis(
            values=log_ticks(min(numbers), max(numbers)), format="~s", labelOverlap="greedy"
        ),
    )
    base = alt.Chart(alt.Data(values=[*rows, *_joints(rows)])).encode(
        x=place, color=colours("arm", arms, every)
    )
    measured = base.transform_filter("!datum.is_expected")
    expected = base.transform_filter("datum.is_expected")
    score = alt.Y("score:Q", title="score", scale=alt.Scale(zero=False))
    form = shapes("arm", arms, every)
    tooltip = [
        "panel:N",
        "arm:N",
        alt.Tooltip("rows:Q", format=",.0f"),
        *(alt.Tooltip(f"{key}:Q", format=".1f") for key in ("score", "low", "high")),
    ]
    layers = [
        measured.mark_rule(opacity=0.6).encode(y=alt.Y("low:Q"), y2="high:Q"),
        measured.mark_line().encode(y=score),
        measured.mark_point(filled=True, size=55, opacity=1).encode(
            y=score, shape=form, tooltip=tooltip
        ),
        expected.mark_line(strokeDash=[4, 4]).encode(y=score),
    ]
    if any(row["is_expected"] for row in rows):
        twice = expected.transform_filter("!datum.is_joint")
        layers += [
            twice.mark_rule(strokeDash=[4, 4], opacity=0.6).encode(y=alt.Y("low:Q"), y2="high:Q"),
            twice.mark_point(filled=False, size=55).encode(y=score, shape=form, tooltip=tooltip),
        ]
    chart = alt.layer(*layers).properties(width=panel_width(len(titles), own_axes=True), height=240)
    words = "; ".join(
        f"{row['arm']} on {row['task']} with {row['rows']:,.0f} rows: {row['score']:.1f}"
        f"{' (expected)' * row['is_expected']}"
        for row in rows
    )
    return Figure(
        name=name,
        title="Score against the number of training rows",
        description=f"Main score {scored}, mean over seeds with its 95% interval; dashed what a "
        f"power law expects of twice the rows: {words}",
        specification=finish(panels(chart, "panel", titles, y="independent")),
    )


def _joints(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the measured points at which the dashed lines begin."""
    last: dict[tuple[str, str], dict[str, Any]] = {}
    joints = []
    for row in rows:
        key = (row["task"], row["arm"])
        if row["is_expected"]:
            joints.append({**last[key], "is_expected": True, "is_joint": True})
        else:
            last[key] = row
    return joints
