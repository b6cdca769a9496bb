"""Scores against cost: the arm to use, and the arms that another arm beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from peftlab.report.figures.appearance import panel_title
from peftlab.report.findings.beaten import beaten_by
from peftlab.report.findings.costs import COSTS, cost_words, mean_cost
from peftlab.report.findings.marks import MARKS
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Figure
from peftlab.study.arms import Arm
from peftlab.study.parts import CostName
from peftlab.tasks.scores import greater_is_better


def pareto_data(
    view: StudyView, arms: Sequence[Arm], against: CostName, to_use: Mapping[str, Arm]
) -> list[dict[str, Any]]:
    """Return rows of task, arm, cost, and the mean score with its interval.

    `use` marks the arm to use on the task, which `to_use` gives by the task's name. `beaten_by`
    names the arms that are shown to score more on the task and to cost less.
    """
    rows = []
    for task in view.tasks:
        beaten = beaten_by(view, arms, task, against)
        for arm in arms:
            summary, cost = view.summary(arm, task), mean_cost(view, arm, task, against)
            learned = view.learned(arm, task)
            if summary is None or cost is None or learned is None:
                continue
            rows.append(
                {
                    "task": task.name,
                    "panel": panel_title(task),
                    "arm": view.label(arm),
                    "cost": cost,
                    "shown": cost_words(view, arm, [task], against, cost),
                    "score": summary.mean,
                    "low": summary.low,
                    "high": summary.high,
                    "state": learned.state,
                    "use": task.name in to_use and to_use[task.name].name == arm.name,
                    "beaten_by": ", ".join(view.label(other) for other in beaten[arm.name]),
                    "is_loss": not greater_is_better(task.main_metric),
                }
            )
    return rows


def draw_pareto(
    rows: Sequence[dict[str, Any]],
    *,
    against: CostName,
    name: str,
    chosen_by: CostName | None = None,
    every: Sequence[str] = (),
    scored: str = "on dev",
) -> Figure:
    """Draw a point with its interval for each arm, one panel per task, and frame the arm to use.

    Arms that are not shown to have learned, or are shown to be beaten, are pale. `every` names all
    arms of the study, for their colours; `scored` names the rows that are scored, and `chosen_by`
    the cost by which the arm to use was chosen (None for the figure's own).
    """
    import altair as alt

    from peftlab.report.figures.style import (
        PALE,
        amount_axis,
        colours,
        finish,
        frame,
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
    score = alt.Y("score:Q", title="score", scale=alt.Scale(zero=False, padding=16))
    colour = colours("arm", arms, every)
    opacity = alt.condition(
        "datum.state == 'learned' && !datum.beaten_by", alt.value(1), alt.value(PALE)
    )
    intervals = base.mark_rule(strokeWidth=1.5).encode(
        y=alt.Y("low:Q"), y2="high:Q", color=colour, opacity=opacity
    )
    points = base.mark_point(filled=True, size=90).encode(
        y=score,
        color=colour,
        shape=shapes("arm", arms, every),
        opacity=opacity,
        tooltip=[
            "panel:N",
            "arm:N",
            alt.Tooltip("shown:N", title=cost.title),
            "state:N",
            alt.Tooltip("beaten_by:N", title="beaten by"),
            *(alt.Tooltip(f"{key}:Q", format=".1f") for key in ("score", "low", "high")),
        ],
    )
    frames = [frame(base, score)] if any(row["use"] for row in rows) else []
    chart = alt.layer(intervals, points, *frames).properties(
        width=panel_width(len(titles), own_axes=True), height=240
    )
    words = "; ".join(
        f"{row['arm']} on {row['task']} {row['score']:.1f} for {row['shown']} "
        f"{MARKS[row['state']]}".rstrip()
        for row in rows
    )
    return Figure(
        name=name,
        title=_title(rows, cost.title, COSTS[chosen_by or against].title),
        description=f"Main score {scored} against {cost.title}. {_findings(rows)} All: {words}",
        specification=finish(panels(chart, "panel", titles, x="independent", y="independent")),
    )


def _title(rows: Sequence[dict[str, Any]], cost: str, chosen_by: str) -> str:
    """Return the title, with the meaning of the figure's symbols."""
    parts = [f"Score against {cost}, with 95% intervals"]
    if any(row["use"] for row in rows):
        used = [row["arm"] for row in rows if row["use"]]
        tasks = {row["task"] for row in rows}
        which = f"{used[0]}, the arm to use" if len(tasks) == 1 else "the arm to use on the task"
        by = "" if cost == chosen_by else f" (chosen by its {chosen_by})"
        parts.append(f"the frame is around {which}{by}")
    pale = ["are not shown to have learned"] * any(row["state"] != "learned" for row in rows)
    if any(row["beaten_by"] for row in rows):
        better = "be better" if any(row["is_loss"] for row in rows) else "score more"
        pale.append(f"are beaten in both: another arm is shown to {better} and to cost less")
    return "; ".join(parts + [f"pale arms {', or '.join(pale)}"] * bool(pale))


def _findings(rows: Sequence[dict[str, Any]]) -> str:
    """Return sentences on the arms to use, and on the arms that are beaten."""
    use = [f"{row['arm']} on {row['task']}" for row in rows if row["use"]]
    beaten = [
        f"{row['arm']} on {row['task']} by {row['beaten_by']}" for row in rows if row["beaten_by"]
    ]
    sentences = [f"To use: {'; '.join(use)}."] if use else []
    return " ".join((*sentences, f"Shown to be beaten in both: {'; '.join(beaten) or 'none'}."))
