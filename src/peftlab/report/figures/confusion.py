"""The confusion matrices: the count of each answer for each label, by arm and task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Figure
from peftlab.study.arms import Arm

CELL, COLUMNS = 58, 6
MOST_LABELS = 12
"""The largest number of labels for which a matrix has numbers in its cells."""


def confusion_data(view: StudyView, arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Return rows of task, arm, label, answer, count over seeds, and share of the label's count.

    Only tasks with classes have rows, and only arms whose predictions are there.
    """
    rows = []
    for task in view.tasks:
        for arm in arms:
            if task.problem_type != "single_label_classification":
                continue
            outcomes = view.outcomes(arm, task, "accuracy")  # a metric of answers, not of logits
            if outcomes is None:
                continue
            size = task.num_labels
            places_SN = outcomes.labels_N * size + outcomes.predictions_SN
            counts = np.bincount(places_SN.astype(np.int64).ravel(), minlength=size * size)
            counts_LL = counts.reshape(size, size)
            totals_L = counts_LL.sum(axis=1)
            for label, answer in np.ndindex(size, size):
                count = int(counts_LL[label, answer])
                rows.append(
                    {
                        "task": task.name,
                        "arm": view.label(arm),
                        "label": task.labels[label],
                        "answer": task.labels[answer],
                        "count": count,
                        "share": count / int(totals_L[label]) if totals_L[label] else 0.0,
                    }
                )
    return rows


def draw_confusion(rows: Sequence[dict[str, Any]], *, name: str, scored: str = "on dev") -> Figure:
    """Return the matrices, one line per task, with right and wrong answers in two colours."""
    import altair as alt

    from peftlab.report.figures.appearance import BETTER, WORSE
    from peftlab.report.figures.style import INK, finish

    arms = list(dict.fromkeys(row["arm"] for row in rows))
    by_task = {
        task: [row for row in rows if row["task"] == task]
        for task in dict.fromkeys(row["task"] for row in rows)
    }
    lines = []
    for task, of_task in by_task.items():
        labels = list(dict.fromkeys(row["label"] for row in of_task))
        base = alt.Chart(alt.Data(values=of_task)).encode(
            x=alt.X("answer:N", sort=labels, title="answer", axis=_axis(alt, -30)),
            y=alt.Y("label:N", sort=labels, title="label", axis=_axis(alt, 0)),
            tooltip=[
                "arm:N",
                "label:N",
                "answer:N",
                "count:Q",
                alt.Tooltip("share:Q", format=".1%"),
            ],
        )
        cells = base.mark_rect(stroke=INK, strokeOpacity=0.15).encode(
            color=alt.condition("datum.label == datum.answer", alt.value(BETTER), alt.value(WORSE)),
            opacity=alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0, 0.6])).legend(
                None
            ),
        )
        layers = [cells]
        if len(labels) <= MOST_LABELS:
            layers.append(
                base.mark_text(color=INK, fontSize=12).encode(
                    text=alt.Text("share:Q", format=".0%")
                )
            )
        size = min(CELL * len(labels), 480)
        shown = [arm for arm in arms if any(row["arm"] == arm for row in of_task)]
        lines.append(
            alt.layer(*layers)
            .properties(width=size, height=size * 2 // 3)
            .facet(facet=alt.Facet("arm:N", sort=shown, title=None), columns=COLUMNS)
            .properties(title=alt.Title(task, anchor="start"))
        )
    chart = lines[0] if len(lines) == 1 else alt.vconcat(*lines, spacing=28)
    words = "; ".join(
        f"{row['arm']} on {row['task']} answers {row['answer']} to {row['share']:.0%} of "
        f"{row['label']}"
        for row in rows
        if row["label"] != row["answer"] and row["count"]
    )
    return Figure(
        name=name,
        title="The answers to each label: their share of the label's examples, over all seeds",
        description=f"Wrong answers {scored}: {words or 'none'}",
        specification=finish(chart),
    )


def _axis(alt: Any, angle: int) -> Any:
    return alt.Axis(labelAngle=angle, ticks=False, domain=False, grid=False, labelLimit=120)
