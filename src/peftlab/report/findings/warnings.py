"""The warnings for a reader: rows of dev in train, and trials measured by older versions."""

from __future__ import annotations

from collections import Counter

from peftlab.core.corrections import missing
from peftlab.data.leaks import LEAK, Leak
from peftlab.report.findings.view import StudyView
from peftlab.study.remarks.row_remarks import is_grave
from peftlab.study.remarks.training_remarks import long_warmups
from peftlab.tasks.spec import Task


def leak_warnings(view: StudyView) -> list[str]:
    """Return a line for each task with untrustworthy scores, as rows of dev are in train."""
    return [
        f"{task.name}: {leak.words()}. Scores on such rows show what was memorised, not "
        "what a model does with new texts."
        for task in view.tasks
        if (leak := _leak(view, task)) is not None
        and is_grave(leak, is_own=_has_own_files(view, task))
    ]


def leak_note(view: StudyView) -> str:
    """Return the note beside the scores; "" if no leak was found."""
    sentences = []
    for task in view.tasks:
        leak = _leak(view, task)
        if leak is not None and leak.is_any:
            sentences.append(f"{task.name}: {leak.words()}.")
        elif leak is None and _has_own_files(view, task):
            sentences.append(f"{task.name}: not checked whether rows of dev are in train.")
    return " ".join(sentences)


def _leak(view: StudyView, task: Task) -> Leak | None:
    """Return the worst leak that is stored with the task's done trials; None if there is none."""
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


def settings_warnings(view: StudyView) -> list[str]:
    """Return the errors that `peftlab lint` finds in the settings of trials that are done."""
    trained = (
        (task.name, arm.name, record.trial.training, record.num_train_examples)
        for task in view.tasks
        for arm in view.arms
        for record in view.done(arm, task)
        if record.num_train_examples
    )
    return [
        f"{finding.where}: {finding.message}."
        for finding in long_warmups(trained)
        if finding.level == "error"
    ]


def outdated_warnings(view: StudyView) -> list[str]:
    """Return a sentence for each correction that came after trials of the view were measured.

    A correction that depends on facts about a checkpoint which an older version did not store is
    not reported here; `peftlab run` finds it.
    """
    found = Counter(
        correction.what
        for record in view.records
        if record.status == "done"
        for correction in missing(record.trial)
    )
    return [
        f"{count} {'trial was' if count == 1 else 'trials were'} measured by an older version, in "
        f"which {what}. Run the study again to measure {'it' if count == 1 else 'them'} anew."
        for what, count in found.items()
    ]
