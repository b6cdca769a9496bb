"""Scores against what they cost, and the arms that no other one beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any

from peftlab.core.scores import sign_of
from peftlab.report.figures.appearance import panel_title
from peftlab.report.findings.costs import COSTS, mean_cost
from peftlab.report.findings.marks import MARKS
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Figure
from peftlab.study.arms import Arm
from peftlab.study.parts import CostName


def pareto_data(view: StudyView, arms: Sequence[Arm], against: CostName) -> list[dict[str, Any]]:
    """Return rows of task, arm, its cost, its mean score and interval, and if it is on the front.

    An arm that did not learn is cheap at any score, and never on it.
    """
    rows = []
    for task in view.tasks:
        of_task: list[dict[str, Any]] = []
        for arm in arms:
            summary, cost = view.summary(arm, task), mean_cost(view, arm, task, against)
            learned = view.learned(arm, task)
            if summary is not None and cost is not None and learned is not None:
                of_task.append(
                    {
                        "task": task.name,
                        "panel": panel_title(task),
                        "arm": view.label(arm),
                        "cost": cost,
                        "shown": COSTS[against].show(cost),
                        "score": summary.mean,
                        "low": summary.low,
                        "high": summary.high,
                        "state": learned.state,
                    }
                )
        may_be_on = [row["state"] != "did not learn" for row in of_task]
        weighed = [*compress(of_task, may_be_on)]
        sign = sign_of(task.main_metric)
        is_on = iter(front([(row["cost"], sign * row["score"]) for row in weighed]))
        rows += [
            {**row, "front": may_be and next(is_on)}
            for row, may_be in zip(of_task, may_be_on, strict=True)
        ]
    return rows


def front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Return which points (cost, merit) no other one beats in one of both and equals in the other.

    Less of a cost and more of a merit is better.

    >>> front([(1, 80), (2, 90), (2, 85), (3, 90)])
    [True, True, False, False]
    """
    return [
        not any(
            (other[0] <= cost and other[1] > merit) or (other[0] < cost and other[1] >= merit)
            for other in points
        )
        for cost, merit in points
    ]


def draw_pareto(
    rows: Sequence[dict[str, Any]],
    *,
    against: CostName,
    name: str,
    every: Sequence[str] = (),
    scored: str = "on dev",
) -> Figure:
    """Draw the points with their intervals, and a stepped line along the front.

    `every` names all arms of the study, for their colours; `scored` says what scores are of.
    """
    import altair as alt

    from peftlab.report.figures.style import (
        INK,
        amount_axis,
        colours,
        finish,
        panel_width,
        panels,
        shapes,
    )

    cost = COSTS[against]
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    titles = list(dict.fromkeys(row["panel"] for row in rows))
    base = alt.Chart(alt.Data(values=list(rows))).encode(
        x=amount_axis(
            [[row["cost"] for row in rows if row["panel"] == title] for title in titles], cost.axis
        )
    )
    score = alt.Y("score:Q", title="score", scale=alt.Scale(zero=False, padding=12))
    line = (
        base.transform_filter("datum.front")
        .mark_line(interpolate="step-after", color=INK, strokeDash=[4, 3], opacity=0.6)
        .encode(y=score, order="cost:Q")
    )
    colour = colours("arm", arms, every)
    intervals = base.mark_rule(strokeWidth=1.5, opacity=0.6).encode(
        y=alt.Y("low:Q"), y2="high:Q", color=colour
    )
    points = base.mark_point(filled=True, size=90, opacity=1).encode(
        y=score,
        color=colour,
        shape=shapes("arm", arms, every),
        tooltip=[
            "panel:N",
            "arm:N",
            alt.Tooltip("shown:N", title=cost.title),
            "state:N",
            *(alt.Tooltip(f"{key}:Q", format=".2f") for key in ("score", "low", "high")),
        ],
    )
    chart = alt.layer(line, intervals, points).properties(
        width=panel_width(len(titles), own_axes=True), height=240
    )
    fronts = {
        task: ", ".join(row["arm"] for row in rows if row["task"] == task and row["front"])
        for task in dict.fromkeys(row["task"] for row in rows)
    }
    words = "; ".join(
        f"{row['arm']} on {row['task']} {row['score']:.1f} for {row['shown']} "
        f"{MARKS[row['state']]}".rstrip()
        for row in rows
    )
    ends = "; ".join(f"{names or 'none'} on {task}" for task, names in fronts.items())
    unlearned = any(row["state"] == "did not learn" for row in rows)
    return Figure(
        name=name,
        title=f"Score against {cost.title}; the dashed line joins the arms that none beats in both"
        + (", without those that did not learn" if unlearned else ""),
        description=f"Main score {scored} against {cost.title}. Beaten by none in both: {ends}. "
        f"All: {words}",
        specification=finish(panels(chart, "panel", titles, x="independent", y="independent")),
    )
