"""The arms that beat each other: one matrix per task, the row's arm against the column's."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from peftlab.report.figures.appearance import panel_title
from peftlab.report.findings.evidence import IDENTICAL, least_seeds, signed
from peftlab.report.findings.learning import did_not_learn
from peftlab.report.findings.looks import difference_shown
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Figure
from peftlab.stats.compare import Difference
from peftlab.stats.families import holm
from peftlab.stats.noise import LEVEL
from peftlab.study.arms import Arm
from peftlab.tasks.spec import Task

BEATS, LOSES, OPEN = "beats", "is beaten by", "not distinguishable"
UNTESTED = "too few seeds"
UNLEARNED = "neither learned"
SIGNS = {BEATS: " ▲", LOSES: " ▼", OPEN: "", IDENTICAL: " =", UNLEARNED: " ×", UNTESTED: " ?"}


def significance_data(view: StudyView, arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Return rows of task, two arms, their difference in points with its interval, and its verdict.

    `p_holm` is adjusted (Holm 1979) for all tested pairs on all tasks. It is None for a pair that
    is not tested, since it has too few seeds, shows no noise, or neither arm learned.
    """
    found = [
        (task, arm, other, difference)
        for task in view.tasks
        for arm, other in itertools.combinations(arms, 2)
        if (difference := difference_shown(view, arm.name, other.name, [task])) is not None
    ]
    untested = [_untested(view, *one) for one in found]
    p_values = [one.p_value for (*_, one), why in zip(found, untested, strict=True) if not why]
    adjusted = iter(holm(p_values))
    rows = []
    for (task, arm, other, difference), why in zip(found, untested, strict=True):
        p_holm = None if why else next(adjusted)
        for row, column, sign in ((arm, other, 1), (other, arm, -1)):
            estimate = sign * difference.estimate
            rows.append(
                {
                    "task": task.name,
                    "panel": panel_title(task),
                    "arm": view.label(row),
                    "other": view.label(column),
                    "difference": estimate,
                    "low": difference.low if sign > 0 else -difference.high,
                    "high": difference.high if sign > 0 else -difference.low,
                    "p_holm": p_holm,
                    "outcome": why if p_holm is None else _outcome(estimate, p_holm),
                }
            )
    return rows


def draw_significance(
    rows: Sequence[dict[str, Any]], *, name: str, of_losses: bool = False
) -> Figure:
    """Draw matrices, whose colours and marks show whether the row's arm beats the column's.

    `of_losses` says that lower is better in the main metric of some task.
    """
    import altair as alt

    from peftlab.report.figures.appearance import BETTER, NEUTRAL, WORSE
    from peftlab.report.figures.style import INK, finish, panels

    arms = list(dict.fromkeys(row["arm"] for row in rows))
    titles = list(dict.fromkeys(row["panel"] for row in rows))
    labelled = [
        {**row, "shown": f"{signed(row['difference'])}{SIGNS[row['outcome']]}"} for row in rows
    ]
    plain: dict[str, Any] = {"ticks": False, "domain": False, "grid": False}
    base = alt.Chart(alt.Data(values=labelled)).encode(
        x=alt.X("other:N", sort=arms, title=None, axis=alt.Axis(labelAngle=-40, **plain)),
        y=alt.Y("arm:N", sort=arms, title=None, axis=alt.Axis(**plain)),
        tooltip=[
            "panel:N", "arm:N", "outcome:N", "other:N",
            *(alt.Tooltip(f"{key}:Q", format="+.2f") for key in ("difference", "low", "high")),
            alt.Tooltip("p_holm:Q", format=".3g"),
        ],
    )  # fmt: skip
    shown = [outcome for outcome in SIGNS if any(row["outcome"] == outcome for row in rows)]
    faint = dict.fromkeys(SIGNS, "#0000") | {
        BEATS: f"{BETTER}80", LOSES: f"{WORSE}80", OPEN: f"{NEUTRAL}28", IDENTICAL: f"{NEUTRAL}28",
    }  # fmt: skip
    size = max(52 * len(arms), 160)  # the legend below the matrix is no wider
    cells = base.mark_rect(stroke=INK, strokeOpacity=0.15).encode(
        color=alt.Color(
            "outcome:N",
            scale=alt.Scale(domain=shown, range=[faint[outcome] for outcome in shown]),
            title=None,
            legend=alt.Legend(columns=max(1, size // 160)),
        )
    )
    numbers = base.mark_text(color=INK, fontSize=11).encode(text="shown:N")
    chart = alt.layer(cells, numbers).properties(width=size, height=max(26 * len(arms), 60))
    beaten = [
        f"{row['arm']} beats {row['other']} on {row['task']} by {row['difference']:.1f}"
        for row in rows
        if row["outcome"] == BEATS
    ]
    others = "All other pairs" if beaten else "All pairs"
    return Figure(
        name=name,
        title="Which arm beats which: by how many points the row's is better than the column's"
        if of_losses
        else "Which arm beats which: the row's score minus the column's, in points",
        description=f"By paired tests, adjusted by Holm's method for all pairs and tasks: "
        f"{''.join(f'{one}; ' for one in beaten)}{others.lower() if beaten else others} are not "
        "distinguishable, or were not tested.",
        specification=finish(panels(chart, "panel", titles)),
    )


def _untested(view: StudyView, task: Task, arm: Arm, other: Arm, difference: Difference) -> str:
    """Return the reason why the two arms are not tested; "" if they are."""
    if did_not_learn(view, arm, task) and did_not_learn(view, other, task):
        return UNLEARNED
    if difference.says_nothing:
        return IDENTICAL
    return UNTESTED if difference.num_seeds < least_seeds(difference) else ""


def _outcome(difference: float, p_holm: float) -> str:
    if p_holm > LEVEL:
        return OPEN
    return BEATS if difference > 0 else LOSES
