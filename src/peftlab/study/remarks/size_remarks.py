"""Remarks on train_sizes: labels of which a small subset of train has no row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from peftlab.core.words import counted
from peftlab.data.limited import drawn_rows
from peftlab.study.remarks.finding import Finding
from peftlab.study.task_rows import TaskRows
from peftlab.study.trials import Expanded

RULE = "few-rows"


def size_remarks(expanded: Expanded) -> Iterator[Finding]:
    """Yield a finding for each size with which some label has no row to be trained on.

    Of each label a subset has its share, whatever the seed, so that one seed tells.
    """
    for task, rows in expanded.rows.items():
        for size in expanded.num_trained[task]:
            lacking = [] if size is None else _lacking(rows, size)
            if lacking:
                shown = ", ".join(f"'{name}'" for name in lacking[:5])
                more = f" and {len(lacking) - 5:,} more" if len(lacking) > 5 else ""
                label = "the label" if len(lacking) == 1 else "the labels"
                yield Finding(
                    level="warning",
                    rule=RULE,
                    where=f"train_sizes on {task}",
                    message=f"train_sizes: with {counted(size or 0, 'row')} none has {label} "
                    f"{shown}{more}",
                )


def _lacking(rows: TaskRows, size: int) -> list[str]:
    """Return the labels that rows of train have and a subset of that size has not."""
    labels = rows.train
    if rows.task.problem_type == "regression":
        return []
    drawn = labels[drawn_rows(labels, size, seed=0)]
    if labels.ndim == 2:
        is_lacking = (labels.sum(axis=0) > 0) & (drawn.sum(axis=0) == 0)
        return [rows.task.labels[place] for place in np.flatnonzero(is_lacking)]
    return [rows.task.labels[int(place)] for place in np.setdiff1d(labels, drawn)]
