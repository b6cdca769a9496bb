"""Scores as grouped bars: the tasks side by side, a bar an arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peftlab.report.blocks import Figure
from peftlab.report.view import StudyView
from peftlab.study.expand import Arm


def scores_data(view: StudyView, arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Rows of task, metric, arm and the main score of the last epoch: mean, least, greatest."""
    rows = []
    for task in view.tasks:
        for arm in arms:
            summary = view.score(arm, task)
            if summary is not None:
                rows.append(
                    {
                        "task": task.name,
                        "metric": task.main_metric.replace("_", " "),
                        "arm": view.label(arm),
                        "score": summary.mean,
                        "least": summary.least,
                        "greatest": summary.greatest,
                        "seeds": summary.num_values,
                    }
                )
    return rows


def draw_scores(rows: Sequence[dict[str, Any]], *, name: str) -> Figure:
    """The bars; with several seeds a line from the least score to the greatest."""
    import altair as alt

    from peftlab.report.figures.style import colours, finish

    arms = list(dict.fromkeys(row["arm"] for row in rows))
    labelled = [{**row, "place": f"{row['task']} ({row['metric']}"} for row in rows]
    places = list(dict.fromkeys(row["place"] for row in labelled))
    # A task's name and, below it, its metric.
    label_axis = alt.Axis(labelAngle=0, labelLimit=260, labelExpr="split(datum.label, ' (')")
    base = alt.Chart(alt.Data(values=labelled)).encode(
        x=alt.X("place:N", sort=places, title=None, axis=label_axis),
        xOffset=alt.XOffset("arm:N", sort=arms),
    )
    bars = base.mark_bar(cornerRadiusEnd=2).encode(
        y=alt.Y("score:Q", title="score (points)"),
        color=colours("arm", arms),
        tooltip=["task:N", "metric:N", "arm:N", alt.Tooltip("score:Q", format=".2f"), "seeds:Q"],
    )
    ranges = base.mark_rule(color="#333", strokeWidth=1.5).encode(y="least:Q", y2="greatest:Q")
    numbers = base.mark_text(dy=-7, fontSize=11).encode(
        y="greatest:Q", text=alt.Text("score:Q", format=".1f")
    )
    width = max(150 * len(places), 44 * len(rows) + 40 * len(places))
    chart = alt.layer(bars, ranges, numbers).properties(width=width, height=260)
    words = "; ".join(f"{row['arm']} on {row['task']} {row['score']:.1f}" for row in rows)
    return Figure(
        name=name,
        title="Scores by task and arm",
        description=f"Main score on dev after the last epoch, mean over seeds: {words}",
        specification=finish(chart),
    )
