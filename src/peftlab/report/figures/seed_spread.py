"""The score of every seed: a panel a task, a row an arm."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from peftlab.report.figures.appearance import panel_title
from peftlab.report.figures.scores import ROW
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Figure
from peftlab.study.arms import Arm


def seed_spread_data(view: StudyView, arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Rows of task, arm, seed, the main score, and what the best constant answer scores.

    The last, `constant`, is None where no predictions are at hand.
    """
    rows = []
    for task in view.tasks:
        for arm in arms:
            outcomes = view.outcomes(arm, task)
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
                        "constant": None if outcomes is None else outcomes.best_constant.score,
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
    """Draw a point a seed, a tick at the median, and a dashed line at the constant's score.

    `every` names all arms of the study, for their colours; `scored` says what scores are of.
    """
    import altair as alt

    from peftlab.report.figures.style import (
        INK,
        beside_names,
        colours,
        finish,
        panel_width,
        panels,
        score_axis,
        shapes,
    )

    arms = list(dict.fromkeys(row["arm"] for row in rows))
    titles = list(dict.fromkeys(row["panel"] for row in rows))
    data = alt.Data(values=list(rows))
    base = alt.Chart(data).encode(
        y=alt.Y("arm:N", sort=arms, title=None, axis=alt.Axis(ticks=False, domain=False))
    )
    points = base.mark_point(filled=True, size=60, opacity=0.85).encode(
        x=score_axis(),
        color=colours("arm", arms, every).legend(None),
        shape=shapes("arm", arms, every).legend(None),
        tooltip=["panel:N", "arm:N", "seed:N", alt.Tooltip("score:Q", format=".2f")],
    )
    medians = base.mark_tick(color=INK, thickness=2, size=16).encode(x=alt.X("median(score):Q"))
    constant = (
        alt.Chart(data)
        .transform_filter("isValid(datum.constant)")
        .mark_rule(strokeDash=[3, 3], color=INK, opacity=0.6)
        .encode(x=alt.X("max(constant):Q"))
    )
    chart = alt.layer(constant, medians, points).properties(
        width=panel_width(len(titles), beside=beside_names(arms)), height=ROW * len(arms)
    )
    return Figure(
        name=name,
        title="Score of every seed; the tick is their median, the dashed line the best constant "
        "answer",
        description=f"Main score {scored} of each seed. {_words(rows)}",
        specification=finish(panels(chart, "panel", titles, x="independent")),
    )


def _words(rows: Sequence[dict[str, Any]]) -> str:
    """Return the least, the median and the greatest of each row."""
    scores: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        scores.setdefault((row["task"], row["arm"]), []).append(row["score"])
    return "; ".join(
        f"{arm} on {task}: {median(found):.1f} in the middle, {min(found):.1f} to {max(found):.1f}"
        for (task, arm), found in scores.items()
    )
