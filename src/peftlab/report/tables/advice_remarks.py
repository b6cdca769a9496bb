"""The advice's sentences on arms that cannot be used, and on runs that collapsed."""

from __future__ import annotations

from peftlab.core.words import counted
from peftlab.report.findings.advice import Advice
from peftlab.report.findings.evidence import listed
from peftlab.report.findings.learning import collapse_words
from peftlab.report.findings.view import StudyView
from peftlab.stats.collapse import share_interval
from peftlab.stats.noise import LEVEL
from peftlab.study.arms import Arm
from peftlab.tasks.scores import sign_of


def kept_out(view: StudyView, advice: Advice) -> list[str]:
    """Return sentences on arms that cannot be used, collapsed runs, and arms without a run."""
    return [_left_out(advice), *_collapsed(view, advice), *_missing(view, advice)]


def _collapsed(view: StudyView, advice: Advice) -> list[str]:
    """Return sentences on the collapsed runs of the arm to use, the reference and better arms.

    An arm is better if its other runs score more than the arm to use, or the reference.
    """
    beside = advice.chosen or advice.reference
    if beside is None or advice.reference is None:
        return []
    sentences = []
    for task in advice.tasks:
        least = view.summary(beside, task)
        sign = sign_of(task.main_metric)
        for arm in (advice.reference, *(one.arm for one in advice.candidates)):
            found = view.collapse(arm, task)
            if found is None or least is None:
                continue
            if arm in (beside, advice.reference) or sign * found.others.mean > sign * least.mean:
                sentences.append(f"{collapse_words(arm, task, found)}.")
    return sentences


def unseen_collapses(view: StudyView, advice: Advice, chosen: Arm) -> str:
    """Return the sentence on the share of runs that may collapse though none did; "" if any did."""
    if any(view.collapse(chosen, task) for task in advice.tasks):
        return ""
    runs = min(sum(run.is_done for run in view.runs(chosen, task)) for task in advice.tasks)
    most = share_interval(0, runs)[1]
    where = " on any task" if len(advice.tasks) > 1 else ""
    none = f"None of the {runs} runs of {chosen.name}" if runs > 1 else f"No run of {chosen.name}"
    return (
        f"{none} collapsed{where}; with {1 - LEVEL:.0%} confidence at most {most:.0%} of further "
        "ones would."
    )


def _missing(view: StudyView, advice: Advice) -> list[str]:
    """Return sentences on arms that are not compared because no run is done on some task."""
    sentences = []
    for arm in advice.missing:
        task = next(task for task in advice.tasks if not view.has_run(arm, task))
        num_runs, num_failed = len(view.runs(arm, task)), view.num_failed(arm, task)
        why = f"none of its {counted(num_runs, 'run')} on {task.name} is done"
        if num_runs and num_failed == num_runs:
            why = f"all of its runs on {task.name} failed ({num_failed})"
        sentences.append(f"{arm.name} is not compared: {why}.")
    return sentences


def _left_out(advice: Advice) -> str:
    """Return sentences on arms that are not recommended, whatever they score."""
    sentences = []
    names = [one.arm.name for one in advice.candidates if one.unlearned]
    if names and not advice.unlearned:  # else no arm learned, as is already said
        verb, they = ("is", "it is") if len(names) == 1 else ("are", "they are")
        sentences.append(
            f"{listed(names)} {verb} not recommended: {they} not shown to have learned "
            f"{where_words(advice)}."
        )
    failed = [(one.arm, one.num_failed) for one in advice.candidates if not one.unlearned]
    if advice.reference is not None:
        failed.insert(0, (advice.reference, advice.num_failed))
    for arm, num_failed in failed:
        if num_failed:
            sentences.append(f"{arm.name} is not recommended: {num_failed} of its runs failed.")
    return " ".join(sentences)


def where_words(advice: Advice) -> str:
    """Return the words for the tasks of the advice: one task, or every task."""
    return advice.tasks[0].name if len(advice.tasks) == 1 else "every task"
