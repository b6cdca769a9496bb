"""The results of a search against the budget spent: one panel per task, one line per arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peftlab.core.words import counted
from peftlab.report.figures.appearance import panel_title
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Figure
from peftlab.study.arms import Arm
from peftlab.study.tuning.attempts import attempts

HELD_OUT, DEV = "held-out rows of train", "dev"


def tuning_data(view: StudyView, arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Return rows of task, arm, split and the main score on it of the best setting so far.

    There is a row for each setting that has ended, in the order in which they were tried, with the
    number of settings and the seconds that the search of its arm on its task had spent by then;
    `own` is the score of the setting itself. The best setting is chosen by held-out rows; its score
    on dev is only reported.
    """
    titles = {task.name: panel_title(task) for task in view.tasks}
    labels = {arm.name: view.label(arm) for arm in arms}
    rows = []
    for attempt in attempts(view.spec, view.records):
        if attempt.arm not in labels:
            continue
        for split, best, own in (
            (HELD_OUT, attempt.best_held_out, attempt.held_out),
            (DEV, attempt.best_dev, attempt.dev),
        ):
            if best is not None:
                rows.append(
                    {
                        "task": attempt.task,
                        "panel": titles[attempt.task],
                        "arm": labels[attempt.arm],
                        "split": split,
                        "settings": attempt.number + 1,
                        "seconds": attempt.seconds,
                        "score": best,
                        "own": own,
                        "status": attempt.status,
                    }
                )
    return rows


def draw_tuning(rows: Sequence[dict[str, Any]], *, name: str, every: Sequence[str] = ()) -> Figure:
    """Return the best score so far in steps, against settings tried and, below, against seconds.

    `every` names all arms of the study, for their colours.
    """
    import altair as alt

    from peftlab.report.figures.style import INK, colours, finish, panel_width, panels

    arms = list(dict.fromkeys(row["arm"] for row in rows))
    titles = list(dict.fromkeys(row["panel"] for row in rows))
    dashes = alt.StrokeDash(
        "split:N",
        scale=alt.Scale(domain=[HELD_OUT, DEV], range=[[1, 0], [5, 4]]),
        title=None,
        legend=alt.Legend(
            symbolType="stroke", symbolSize=400, symbolStrokeColor=INK, symbolFillColor=INK
        ),
    )
    base = alt.Chart(alt.Data(values=list(rows))).encode(color=colours("arm", arms, every))

    def against(budget: str, title: str) -> Any:
        x = alt.X(f"{budget}:Q", title=title, scale=alt.Scale(nice=False, padding=8))
        lines = base.mark_line(interpolate="step-after").encode(
            x=x,
            y=alt.Y("score:Q", title="best so far", scale=alt.Scale(zero=False)),
            strokeDash=dashes,
            tooltip=["panel:N", "arm:N", "split:N", "settings:Q", "seconds:Q", "score:Q"],
        )
        tried = (
            base.transform_filter(f"datum.split == '{HELD_OUT}' && isValid(datum.own)")
            .mark_point(size=24, opacity=0.55)
            .encode(
                x=x,
                y="own:Q",
                tooltip=["panel:N", "arm:N", "settings:Q", "status:N", "own:Q"],
            )
        )
        chart = alt.layer(tried, lines).properties(
            width=panel_width(len(titles), own_axes=True), height=200
        )
        return panels(chart, "panel", titles, x="independent", y="independent")

    chart = alt.vconcat(against("settings", "settings tried"), against("seconds", "seconds spent"))
    last = {(row["arm"], row["task"], row["split"]): row for row in rows}
    words = "; ".join(
        f"{arm} on {task} {row['score']:.1f} on {split} after "
        f"{counted(row['settings'], 'setting')} and {row['seconds']:,.0f} seconds"
        for (arm, task, split), row in last.items()
    )
    return Figure(
        name=name,
        title="The best setting so far by the budget spent; points are settings tried",
        description=f"Main score of the setting that is best on held-out rows so far: {words}",
        specification=finish(chart),
    )
