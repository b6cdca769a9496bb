"""Scores against the learning rate, of arms that differ in nothing else: one panel per task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peftlab.core.identity import content_id
from peftlab.core.trial import Trial
from peftlab.report.figures.appearance import panel_title
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Figure
from peftlab.study.arms import Arm
from peftlab.tasks.spec import Task


def groups_by_learning_rate(
    view: StudyView, arms: Sequence[Arm], task: Task
) -> dict[str, dict[float, Arm]]:
    """Return the groups with two learning rates or more, by name: arm by learning rate.

    Nothing else in their trials on the task differs. The name is what its arms have in common.
    """
    groups: dict[str, dict[float, Arm]] = {}
    for arm in arms:
        for record in view.of(arm, task)[:1]:
            group = groups.setdefault(_all_else(record.trial), {})
            group.setdefault(record.trial.training.learning_rate, arm)
    return {
        _name([*group.values()]): dict(sorted(group.items()))
        for group in groups.values()
        if len(group) > 1
    }


def learning_rate_data(view: StudyView, arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Return rows of task, group, arm, learning rate, and the score with its interval."""
    rows = []
    for task in view.tasks:
        for name, group in groups_by_learning_rate(view, arms, task).items():
            for learning_rate, arm in group.items():
                summary = view.summary(arm, task)
                if summary is not None:
                    rows.append(
                        {
                            "task": task.name,
                            "panel": panel_title(task),
                            "group": name,
                            "arm": view.label(arm),
                            "learning_rate": learning_rate,
                            "score": summary.mean,
                            "low": summary.low,
                            "high": summary.high,
                        }
                    )
    return rows


def draw_learning_rate(
    rows: Sequence[dict[str, Any]], *, name: str, scored: str = "on dev"
) -> Figure:
    """Return the figure, one line per group through its arms in the order of learning rates."""
    import altair as alt

    from peftlab.report.figures.style import colours, finish, panel_width, panels, shapes

    groups = list(dict.fromkeys(row["group"] for row in rows))
    titles = list(dict.fromkeys(row["panel"] for row in rows))
    x = alt.X(
        "learning_rate:Q",
        title="learning rate",
        scale=alt.Scale(type="log", nice=False, padding=18),
        axis=alt.Axis(
            values=sorted({row["learning_rate"] for row in rows}),
            format="~e",
            labelOverlap="greedy",
            labelSeparation=8,
        ),
    )
    base = alt.Chart(alt.Data(values=list(rows))).encode(x=x, color=colours("group", groups))
    score = alt.Y("score:Q", title="score", scale=alt.Scale(zero=False))
    layers = [
        base.mark_rule(opacity=0.6).encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_line().encode(y=score),
        base.mark_point(filled=True, size=55, opacity=1).encode(
            y=score,
            shape=shapes("group", groups),
            tooltip=[
                "panel:N",
                "arm:N",
                alt.Tooltip("learning_rate:Q", format=".1e"),
                *(alt.Tooltip(f"{key}:Q", format=".1f") for key in ("score", "low", "high")),
            ],
        ),
    ]
    chart = alt.layer(*layers).properties(width=panel_width(len(titles), own_axes=True), height=220)
    words = "; ".join(
        f"{row['arm']} on {row['task']} at {row['learning_rate']:g}: {row['score']:.1f}"
        for row in rows
    )
    return Figure(
        name=name,
        title="Score against the learning rate, all else being equal",
        description=f"Main score {scored}, mean over seeds with its 95% interval: {words}",
        specification=finish(panels(chart, "panel", titles, y="independent")),
    )


def _all_else(trial: Trial) -> str:
    values = trial.model_dump(mode="json", exclude={"seed", "seeds"})
    del values["training"]["learning_rate"]
    return content_id(values)


def _name(group: Sequence[Arm]) -> str:
    first = min(group, key=lambda arm: len(arm.name))
    if len({arm.base for arm in group}) > 1:
        return first.name
    others = [f"{key} {value}" for key, value in first.swept.items() if key != "learning_rate"]
    return ", ".join([first.base, *others])
