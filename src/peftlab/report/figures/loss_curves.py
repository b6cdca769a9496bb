"""Training and validation loss against epochs, one panel per task."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from peftlab.core.inputs import ProblemType
from peftlab.core.measurements import plain_epoch
from peftlab.report.findings.evidence import listed
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Figure
from peftlab.store.records import TrialRecord
from peftlab.study.arms import Arm

TRAINING, VALIDATION = "training", "validation"
LOSSES: Mapping[ProblemType, str] = {
    "single_label_classification": "cross-entropy",
    "multi_label_classification": "binary cross-entropy",
    "regression": "squared error",
}


def loss_curves_data(view: StudyView, arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Return rows of task, arm, split, epoch and the loss: mean, lowest and highest over seeds.

    Trials that are not done have rows too, for their evaluations so far. A training loss is the
    mean over the steps since the previous evaluation, measured during training; a validation loss
    is that of an evaluation. A loss that is not finite cannot be drawn and is left out.
    """
    rows = []
    for task in view.tasks:
        for arm in arms:
            losses = _losses(view.of(arm, task))
            for (split, epoch), values in sorted(losses.items()):
                rows.append(
                    {
                        "task": task.name,
                        "arm": view.label(arm),
                        "split": split,
                        "epoch": plain_epoch(epoch),
                        "loss": fmean(values),
                        "min": min(values),
                        "max": max(values),
                        "seeds": len(values),
                    }
                )
    return rows


def unlike_note(view: StudyView, arms: Sequence[Arm]) -> str:
    """Return the end of the title that names arms whose training losses are not plain ones."""
    names = [
        view.label(arm)
        for arm in arms
        if any(
            record.trial.training.class_weights or record.trial.training.label_smoothing_factor
            for task in view.tasks
            for record in view.of(arm, task)
        )
    ]
    if not names:
        return ""
    return (
        f"; training losses of {listed(names)} have class weights or smoothed labels, validation "
        "losses have neither"
    )


def draw_loss_curves(
    rows: Sequence[dict[str, Any]],
    *,
    name: str,
    every: Sequence[str] = (),
    problem_types: Iterable[ProblemType] = ("single_label_classification",),
) -> Figure:
    """Return the curves, with a band from the lowest to the highest loss of several seeds.

    `every` names all arms of the study, for their colours; `problem_types` give the axis the names
    of the losses.
    """
    import altair as alt

    from peftlab.report.figures.style import INK, colours, finish, panel_width, panels

    arms = list(dict.fromkeys(row["arm"] for row in rows))
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    by_arm = len(arms) > 1
    colour = colours("split", [TRAINING, VALIDATION])
    if by_arm:
        colour = colours("arm", arms, every)
    base = alt.Chart(alt.Data(values=list(rows))).encode(
        x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(values=_ticks(rows), format="d")),
        color=colour,
    )
    dashes = alt.StrokeDash(
        "split:N",
        scale=alt.Scale(domain=[TRAINING, VALIDATION], range=[[5, 4], [1, 0]]),
        title=None,
        # Without a fill of their own, the legend's dashes are drawn as filled points without
        # borders.
        legend=alt.Legend(
            symbolType="stroke", symbolSize=400, symbolStrokeColor=INK, symbolFillColor=INK
        ),
    )
    loss = f"loss ({' or '.join(sorted({LOSSES[one] for one in problem_types}))})"
    lines = base.mark_line(point={"size": 28}).encode(
        y=alt.Y("loss:Q", title=loss, scale=alt.Scale(zero=False)),
        strokeDash=dashes,
        tooltip=[
            "task:N",
            "arm:N",
            "split:N",
            alt.Tooltip("epoch:Q", format=".4~g"),
            alt.Tooltip("loss:Q", format=".4f"),
        ],
    )
    layers = [lines]
    if any(row["seeds"] > 1 for row in rows):
        layers.insert(
            0,
            base.mark_area(opacity=0.14).encode(
                y=alt.Y("min:Q", title=loss), y2="max:Q", detail="split:N"
            ),
        )
    chart = alt.layer(*layers).properties(width=panel_width(len(tasks), own_axes=True), height=220)
    title = "Loss by epoch" + ("" if by_arm else f": {arms[0]}" if arms else "")
    title += "; each point is of the seeds that got there" if _ends_differ(rows) else ""
    return Figure(
        name=name,
        title=title,
        description=(
            f"Training and validation loss by epoch on {', '.join(tasks)}. {_last_losses(rows)}"
        ),
        specification=finish(panels(chart, "task", tasks, y="independent")),
    )


def _losses(records: Sequence[TrialRecord]) -> dict[tuple[str, float], list[float]]:
    losses: dict[tuple[str, float], list[float]] = {}
    for record in records:
        for one in record.evaluations:
            for split, loss in ((TRAINING, one.train_loss), (VALIDATION, one.eval_loss)):
                if loss is not None and math.isfinite(loss):
                    losses.setdefault((split, one.epoch), []).append(loss)
    return losses


def _ends_differ(rows: Sequence[dict[str, Any]]) -> bool:
    """Return whether any curve has fewer seeds at one epoch than at another."""
    numbers: dict[tuple[str, str, str], set[int]] = {}
    for row in rows:
        numbers.setdefault((row["task"], row["arm"], row["split"]), set()).add(row["seeds"])
    return any(len(found) > 1 for found in numbers.values())


def _ticks(rows: Sequence[dict[str, Any]]) -> list[int]:
    """Return whole epochs, at most eleven. (Vega would choose halves if there are few epochs.)"""
    last = math.ceil(max(row["epoch"] for row in rows))
    return list(range(0, last + 1, 1 + max(last - 1, 0) // 10))


def _last_losses(rows: Sequence[dict[str, Any]]) -> str:
    """Return the last validation loss of each curve as a sentence."""
    last = {(row["task"], row["arm"]): row["loss"] for row in rows if row["split"] == VALIDATION}
    return "Last validation losses: " + "; ".join(
        f"{arm} on {task} {loss:.3f}" for (task, arm), loss in last.items()
    )
