"""Runs that are not what a mean makes of them: those that failed, and those that collapsed."""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.report.findings.view import StudyView
from peftlab.stats.collapse import Collapse
from peftlab.study.arms import Arm
from peftlab.tasks.spec import Task


def losses_words(view: StudyView, arms: Sequence[Arm], tasks: Sequence[Task]) -> list[str]:
    """Return sentences on the runs of these arms that failed or collapsed, task by task."""
    sentences = []
    for task in tasks:
        for arm in arms:
            records = view.of(arm, task)
            num_failed = sum(record.status == "failed" for record in records)
            if num_failed:
                runs = (
                    "the only run" if len(records) == 1 else f"{num_failed} of {len(records)} runs"
                )
                sentences.append(
                    f"{runs[0].upper()}{runs[1:]} of {arm.name} on {task.name} failed"
                    + (": all figures are of the others." if num_failed < len(records) else ".")
                )
            found = view.collapse(arm, task)
            if found is not None:
                sentences.append(f"{collapse_words(arm, task, found)}.")
    return sentences


def collapse_words(arm: Arm, task: Task, found: Collapse) -> str:
    """Return how many runs collapsed, and what the others score, as a sentence without its dot."""
    others = found.others
    num = others.num_values
    own = "the other one scores" if num == 1 else f"the other {num} score"
    interval = f" [{others.low:.1f}, {others.high:.1f}]" if others.has_interval else ""
    return (
        f"{found.num_collapsed} of {found.num_runs} runs of {arm.name} on {task.name} collapsed to "
        f"what a constant answer scores (with 95% {found.low:.0%} to {found.high:.0%} of all runs "
        f"do); {own} {others.mean:.1f}{interval}"
    )
