"""Rows of dev that stood in train when the trials were trained, as is stored with each of them."""

from __future__ import annotations

from peftlab.data.leaks import LEAK, Leak
from peftlab.report.findings.view import StudyView
from peftlab.study.remarks.row_remarks import is_grave
from peftlab.tasks.spec import Task


def leak_warnings(view: StudyView) -> list[str]:
    """A line for each task of which the scores cannot be taken as they are."""
    return [
        f"{task.name}: {leak.words()}. Scores on such rows show what was learned by heart, not "
        "what a model does with new texts."
        for task in view.tasks
        if (leak := _leak(view, task)) is not None
        and is_grave(leak, is_own=_has_own_files(view, task))
    ]


def leak_note(view: StudyView) -> str:
    """What stands beside the scores; "" where nothing was found in what was looked at."""
    sentences = []
    for task in view.tasks:
        leak = _leak(view, task)
        if leak is not None and leak.is_any:
            sentences.append(f"{task.name}: {leak.words()}.")
        elif leak is None and _has_own_files(view, task):
            sentences.append(f"{task.name}: not checked whether rows of dev stand in train.")
    return " ".join(sentences)


def _leak(view: StudyView, task: Task) -> Leak | None:
    """The worst of what is stored with the task's trials that are done; None where nothing is."""
    found = [
        leak
        for arm in view.arms
        for record in view.done(arm, task)
        if (leak := Leak.of(record.provenance.get(LEAK))) is not None
    ]
    return max(found, key=lambda one: (one.is_same_file, one.share), default=None)


def _has_own_files(view: StudyView, task: Task) -> bool:
    return any(
        record.trial.data.source == "files" for arm in view.arms for record in view.done(arm, task)
    )
