"""The advice as a figure: the score of each arm against its cost, over all tasks together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peftlab.report.findings.advice import Advice
from peftlab.report.findings.costs import COSTS, cost_words, total_cost
from peftlab.report.findings.learning import has_learned
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Figure
from peftlab.study.parts import CostName

HEIGHT = 240
LEARNED, NOT_LEARNED = "learned", "not shown to have learned"


def advice_data(view: StudyView, advice: Advice, against: CostName) -> list[dict[str, Any]]:
    """Return rows of arm, cost and score: sums of costs and means of scores over the tasks.

    `use` marks the arm to use. Arms whose cost is unknown are left out.
    """
    compared = [one.arm for one in advice.candidates]
    compared += [] if advice.reference is None else [advice.reference]
    names = {arm.name for arm in compared}
    rows = []
    for arm in (one for one in view.arms if one.name in names):
        score = view.mean_score(arm, advice.tasks)
        cost = total_cost(view, arm, advice.tasks, against)
        if score is None or cost is None:
            continue
        rows.append(
            {
                "arm": view.label(arm),
                "cost": cost,
                "shown": cost_words(view, arm, advice.tasks, against, cost),
                "score": score.mean,
                "low": score.low,
                "high": score.high,
                "state": LEARNED if has_learned(view, arm, advice.tasks) else NOT_LEARNED,
                "use": advice.chosen is not None and arm.name == advice.chosen.name,
            }
        )
    return rows


def draw_advice(
    rows: Sequence[dict[str, Any]],
    *,
    against: CostName,
    name: str,
    axis: str = "score",
    every: Sequence[str] = (),
    scored: str = "on dev",
) -> Figure:
    """Draw a point with its interval for each arm, and frame the one to use.

    Arms that are not shown to have learned are pale. `axis` is the title of the scores' axis,
    `every` names all arms of the study, for their colours, and `scored` the rows that are scored.
    """
    import altair as alt

    from peftlab.report.figures.style import (
        PALE,
        amount_axis,
        colours,
        finish,
        frame,
        panel_width,
        shapes,
    )

    cost = COSTS[against]
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    base = alt.Chart(alt.Data(values=list(rows))).encode(
        x=amount_axis([[row["cost"] for row in rows]], cost.axis),
        opacity=alt.condition(f"datum.state == '{LEARNED}'", alt.value(1), alt.value(PALE)),
    )
    score = alt.Y("score:Q", title=axis, scale=alt.Scale(zero=False, padding=16))
    colour = colours("arm", arms, every)
    layers = [
        base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q"), y2="high:Q", color=colour),
        base.mark_point(filled=True, size=110).encode(
            y=score,
            color=colour,
            shape=shapes("arm", arms, every),
            tooltip=[
                "arm:N",
                alt.Tooltip("shown:N", title=cost.title),
                "state:N",
                *(alt.Tooltip(f"{key}:Q", format=".1f") for key in ("score", "low", "high")),
            ],
        ),
    ]
    if any(row["use"] for row in rows):
        layers.append(frame(base, score))
    chart = alt.layer(*layers).properties(width=panel_width(1), height=HEIGHT)
    words = "; ".join(
        f"{row['arm']} {row['score']:.1f} [{row['low']:.1f}, {row['high']:.1f}] for {row['shown']}"
        + (" (the arm to use)" if row["use"] else "")
        + ("" if row["state"] == LEARNED else f" ({row['state']})")
        for row in rows
    )
    parts = [f"Score against {cost.title}, with 95% intervals"]
    parts += [f"the frame is around {row['arm']}, the arm to use" for row in rows if row["use"]]
    parts += ["pale arms are not shown to have learned"] * any(
        row["state"] != LEARNED for row in rows
    )
    return Figure(
        name=name,
        title="; ".join(parts),
        description=f"Main score {scored} against {cost.title}: {words}",
        specification=finish(chart),
    )
