"""The main score against a swept setting, a line a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peftlab.report.blocks import Figure
from peftlab.report.view import StudyView
from peftlab.study.expand import Arm


def sweep_data(view: StudyView, arms: Sequence[Arm], key: str) -> list[dict[str, Any]]:
    """Rows of task, the setting's value and the score of the last epoch: mean, least, greatest."""
    rows = []
    for task in view.tasks:
        for arm in arms:
            summary = view.score(arm, task)
            if summary is not None and key in arm.swept:
                rows.append(
                    {
                        "task": f"{task.name} ({task.main_metric.replace('_', ' ')})",
                        "arm": view.label(arm),
                        "value": arm.swept[key],
                        "score": summary.mean,
                        "least": summary.least,
                        "greatest": summary.greatest,
                    }
                )
    return rows


def draw_sweep(rows: Sequence[dict[str, Any]], *, key: str, name: str) -> Figure:
    """The lines; a logarithmic axis where the values are positive numbers far apart."""
    import altair as alt

    from peftlab.report.figures.style import colours, finish

    tasks = list(dict.fromkeys(row["task"] for row in rows))
    values = list(dict.fromkeys(row["value"] for row in rows))
    are_numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    if are_numbers and min(values) > 0 and max(values) >= 4 * min(values):
        scale = alt.Scale(type="log", base=2, nice=False, padding=24)
        place = alt.X("value:Q", title=key, scale=scale, axis=alt.Axis(values=values))
    elif are_numbers:
        scale = alt.Scale(zero=False, padding=24)
        place = alt.X("value:Q", title=key, scale=scale, axis=alt.Axis(values=values))
    else:
        place = alt.X("value:N", title=key, sort=[str(value) for value in values])
    base = alt.Chart(alt.Data(values=list(rows))).encode(x=place, color=colours("task", tasks))
    lines = base.mark_line(point={"size": 45}).encode(
        y=alt.Y("score:Q", title="score (points)", scale=alt.Scale(zero=False)),
        tooltip=["task:N", "arm:N", alt.Tooltip("score:Q", format=".2f")],
    )
    ranges = base.mark_rule().encode(y="least:Q", y2="greatest:Q")
    chart = alt.layer(ranges, lines).properties(width=420, height=260)
    words = "; ".join(f"{row['task']} at {key} {row['value']}: {row['score']:.1f}" for row in rows)
    return Figure(
        name=name,
        title=f"Score against {key}",
        description=f"Main score on dev after the last epoch, mean over seeds: {words}",
        specification=finish(chart),
    )
