"""Scores with their intervals: one panel per task, one row per arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from peftlab.report.figures.appearance import panel_title
from peftlab.report.findings.marks import MARKS
from peftlab.report.findings.published import PublishedResult
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Figure
from peftlab.stats.state import LearningState
from peftlab.study.arms import Arm

ROW = 22
"""The height of an arm's row in pixels."""
CROSS = "M-1,-1L1,1M-1,1L1,-1"
"""The shape of a point as an SVG path; it has no area."""
KEYS = ("score", "low", "high")
SIGNS: dict[LearningState, str] = {"did not learn": CROSS, "cannot tell": "circle"}
LEGENDS: dict[LearningState, str] = {
    "did not learn": "a cross did not learn",
    "cannot tell": "a ring is not shown to have learned",
}


def scores_data(view: StudyView, arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Return rows of task, arm and the main score: its mean over the seeds with its interval.

    `state` says whether the arm learned the task, and `bar` is the score by which that is judged:
    the score of the best constant answer or, if `is_chance`, of the arm's own answers in random
    order. It is None if there are no predictions.
    """
    rows = []
    for task in view.tasks:
        for arm in arms:
            summary = view.summary(arm, task)
            learned = view.learned(arm, task)
            if summary is not None and learned is not None:
                rows.append(
                    {
                        "task": task.name,
                        "panel": panel_title(task),
                        "arm": view.label(arm),
                        "score": summary.mean,
                        "low": summary.low,
                        "high": summary.high,
                        "seeds": summary.num_values,
                        "covers": summary.covers,
                        "state": learned.state,
                        "bar": learned.bar,
                        "is_chance": learned.chance is not None,
                    }
                )
    return rows


def published_data(view: StudyView, published: Sequence[PublishedResult]) -> list[dict[str, Any]]:
    """Return rows of task, arm, score and its rule, of scores by a task's main metric."""
    return [
        {
            "task": task.name,
            "panel": panel_title(task),
            "arm": one.label,
            "score": one.scores[task.name].value,
            "rule": one.rule,
        }
        for task in view.tasks
        for one in published
        if task.name in one.scores and one.scores[task.name].metric == task.main_metric
    ]


def in_words(row: Mapping[str, Any]) -> str:
    """Return a row's score in words, with its interval and the mark of its state, if any.

    >>> in_words({"arm": "full", "task": "sst2", "score": 91.26, "low": 90.0, "high": 92.5})
    'full on sst2 91.3 [90.0, 92.5]'
    """
    interval = f" [{row['low']:.1f}, {row['high']:.1f}]" if row["low"] < row["high"] else ""
    mark = MARKS[row["state"]] if "state" in row else ""
    return f"{row['arm']} on {row['task']} {row['score']:.1f}{interval} {mark}".rstrip()


def bar_words(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the words for the score that an arm must exceed to have learned; "" if unknown."""
    kinds = {row["is_chance"] for row in rows if row["bar"] is not None}
    constant, chance = "the best constant answer", "the arm's own answers in random order"
    if kinds == {True, False}:
        return f"the bar for having learned: {constant}, or {chance} where they score more"
    return {frozenset({False}): constant, frozenset({True}): chance}.get(frozenset(kinds), "")


def draw_scores(
    rows: Sequence[dict[str, Any]],
    *,
    name: str,
    every: Sequence[str] = (),
    published: Sequence[dict[str, Any]] = (),
    scored: str = "on dev",
) -> Figure:
    """Draw points with a line over the interval, and open diamonds for scores from papers.

    A cross stands for an arm that did not learn, a ring for an arm that may not have learned, and a
    dashed line for the bar of each arm. `every` names all arms of the study, for their colours;
    `scored` names the rows that are scored.
    """
    import altair as alt

    from peftlab.report.figures.style import (
        INK,
        bars,
        beside_names,
        colours,
        finish,
        names_axis,
        panel_width,
        panels,
        score_axis,
        shapes,
    )

    arms = list(dict.fromkeys(row["arm"] for row in rows))
    titles = list(dict.fromkeys(row["panel"] for row in rows))
    of_panels = [row for row in published if row["panel"] in titles]
    names = [*arms, *dict.fromkeys(row["arm"] for row in of_panels)]
    data = alt.Data(values=[*rows, *of_panels])
    base = alt.Chart(data).encode(y=names_axis(names))
    own = base.transform_filter("isValid(datum.low)")
    colour = colours("arm", arms, every).legend(None)
    tooltip = ["panel:N", "arm:N", *(alt.Tooltip(f"{key}:Q", format=".1f") for key in KEYS)]
    told = [*tooltip, "state:N", alt.Tooltip("bar:Q", format=".1f"), "seeds:Q", "covers:N"]
    layers = [
        own.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q", color=colour),
    ]

    def seen(where: str, opacity: float = 1) -> Any:
        # Hidden, not left out, since a layer without a row in some panel has no extent there.
        return alt.condition(where, alt.value(opacity), alt.value(0))

    if any(row["state"] == "learned" for row in rows):
        layers.append(
            own.mark_point(filled=True, size=70).encode(
                x=score_axis(),
                color=colour,
                shape=shapes("arm", arms, every).legend(None),
                opacity=seen("datum.state == 'learned'"),
                tooltip=told,
            )
        )
    if of_panels:
        layers.append(
            base.mark_point(shape="diamond", size=70, stroke=INK).encode(
                x=score_axis(),
                opacity=seen("isValid(datum.rule)", 0.75),
                tooltip=[*tooltip[:3], "rule:N"],
            )
        )
    for state, shape in SIGNS.items():
        if any(row["state"] == state for row in rows):
            layers.append(
                own.mark_point(shape=shape, size=70, strokeWidth=2).encode(
                    x=score_axis(),
                    color=colour,
                    opacity=seen(f"datum.state == '{state}'"),
                    tooltip=told,
                )
            )
    bar = bar_words(rows)
    if bar:
        layers.append(bars(base, names))
    chart = alt.layer(*layers).properties(
        width=panel_width(len(titles), beside=beside_names(names)), height=ROW * len(names)
    )
    said = "; ".join(f"{row['arm']} on {row['task']} {row['score']:.1f}" for row in of_panels)
    return Figure(
        name=name,
        title="; ".join(
            (
                "Scores by task and arm",
                *([f"the dashed line is {bar}"] if bar else []),
                *(LEGENDS[s] for s in SIGNS if any(row["state"] == s for row in rows)),
                *(["open diamonds are published scores on dev"] if of_panels else []),
            )
        ),
        description=f"Main score {scored}, mean over seeds with its 95% interval: "
        + "; ".join(map(in_words, rows))
        + (f". Published, open diamonds: {said}" if said else ""),
        specification=finish(panels(chart, "panel", titles, x="independent")),
    )
