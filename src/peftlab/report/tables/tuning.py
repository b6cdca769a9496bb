"""The table of what `peftlab tune` found: the best setting of each arm on each task."""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.core.words import duration
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import NOTHING, Cell, Table
from peftlab.study.arms import Arm
from peftlab.study.tuning.attempts import Attempt, attempts, setting_words


def tuning_table(view: StudyView, arms: Sequence[Arm]) -> Table | None:
    """A row a search; None where no setting was tried."""
    found = attempts(view.spec, view.records)
    rows = []
    for task in view.tasks:
        for arm in arms:
            tried = [one for one in found if (one.arm, one.task) == (arm.name, task.name)]
            if tried:
                rows.append([task.name, view.label(arm), *_cells(tried)])
    if not rows:
        return None
    numbers = ("held out", "dev", "done", "pruned", "failed", "time")
    return Table(
        title="The best setting found",
        columns=["task", "arm", "setting", *numbers],
        rows=rows,
        numbers=frozenset(numbers),
        note="Chosen by the main metric on rows held out of train, in points and as the mean over "
        "seeds; dev is what the chosen setting scores on dev, which the search did not look at. "
        "Pruned settings were given up on the way and do not compete. time: training and "
        "evaluation of all settings tried.",
    )


def _cells(tried: Sequence[Attempt]) -> list[str]:
    best = next((one for one in tried if one.is_best), None)
    words = "no setting is done" if best is None else setting_words(best.setting)
    scores = [None, None] if best is None else [best.held_out, best.dev]
    statuses = [one.status for one in tried]
    counts = [statuses.count("done"), statuses.count("pruned"), statuses.count("failed")]
    return [
        words,
        *(NOTHING if value is None else Cell(f"{value:.2f}", value=value) for value in scores),
        *(Cell(str(count), value=count) for count in counts),
        Cell(duration(tried[-1].seconds), value=tried[-1].seconds),
    ]
