"""The score of every seed: one panel per task, one row per arm."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from peftlab.report.figures.appearance import panel_title
from peftlab.report.figures.scores import ROW, bar_words
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Figure
from peftlab.study.arms import Arm


def seed_spread_data(view: StudyView, arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Return rows of task, arm, seed, main score, and the `bar` by which the arm is judged.

    The bar is that of `scores_data`.
    """
    rows = []
    for task in view.tasks:
        for arm in arms:
            learned = view.learned(arm, task)
            for run in view.runs(arm, task):
                if not run.is_done:
                    continue
                rows.append(
                    {
                        "task": task.name,
                        "panel": panel_title(task),
                        "arm": view.label(arm),
                        "seed": run.seed,
                        "score": run.score(task.main_metric),
                        "bar": None if learned is None else learned.bar,
                        "is_chance": learned is not None and learned.chance is not None,
                    }
                )
    return rows


def draw_seed_spread(
    rows: Sequence[dict[str, Any]],
    *,
    name: str,
    every: Sequence[str] = (),
    scored: str = "on dev",
) -> Figure:
    """Draw a point for each seed, a tick at the median, and a dashed line at the bar of each arm.

    `every` names all arms of the study, for their colours; `scored` names the rows that are scored.
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
    data = alt.Data(values=list(rows))
    base = alt.Chart(data).encode(y=names_axis(arms))
    points = base.mark_point(filled=True, size=60, opacity=0.85).encode(
        x=score_axis(),
        color=colours("arm", arms, every).legend(None),
        shape=shapes("arm", arms, every).legend(None),
        tooltip=["panel:N", "arm:N", "seed:N", alt.Tooltip("score:Q", format=".1f")],
    )
    medians = base.mark_tick(color=INK, thickness=2, size=16).encode(x=alt.X("median(score):Q"))
    bar = bar_words(rows)
    layers = [bars(base, arms)] if bar else []
    chart = alt.layer(*layers, medians, points).properties(
        width=panel_width(len(titles), beside=beside_names(arms)), height=ROW * len(arms)
    )
    return Figure(
        name=name,
        title="Score of every seed; the tick is their median"
        + (f", the dashed line is {bar}" if bar else ""),
        description=f"Main score {scored} of each seed. {_spread_words(rows)}",
        specification=finish(panels(chart, "panel", titles, x="independent")),
    )


def _spread_words(rows: Sequence[dict[str, Any]]) -> str:
    """Return the words for the lowest, the median and the highest score of each row."""
    scores: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        scores.setdefault((row["task"], row["arm"]), []).append(row["score"])
    return "; ".join(
        f"{arm} on {task}: {median(found):.1f} in the middle, {min(found):.1f} to {max(found):.1f}"
        for (task, arm), found in scores.items()
    )
