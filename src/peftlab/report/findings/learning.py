"""Sentences on the tasks that arms have learned, and on runs that failed or collapsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue

from peftlab.core.words import all_of, counted
from peftlab.methods.registry import METHODS
from peftlab.report.findings.better_words import of_losses
from peftlab.report.findings.class_numbers import ANSWERS
from peftlab.report.findings.evidence import listed, signed
from peftlab.report.findings.marks import MARKS
from peftlab.report.findings.view import StudyView
from peftlab.stats.collapse import Collapse
from peftlab.stats.constant import is_constant
from peftlab.stats.learned import GAIN, Learned
from peftlab.stats.state import LearningState
from peftlab.store.records import TrialRecord
from peftlab.study.arms import Arm
from peftlab.study.remarks.lint import learning_rate_advice
from peftlab.tasks.spec import Task

BEYOND = (
    "every run gives the same answer to all examples, or none has moved since before its first "
    f"step, or the score is shown to be less than {GAIN:g} point better than that of the best "
    "constant answer"
)
MARK_NOTE = (
    f"× did not learn: {BEYOND}. ? cannot tell: the score is shown neither to be better nor to "
    "be no better. An arm without a mark has learned."
)
LEARNED_NOTE = (
    "learned: yes, if the 95% interval of how much better the score is than that of the best "
    f"constant answer lies above 0; no, if {BEYOND}."
)
CHANCE_NOTE = (
    " Where an arm's own predictions score more in random order than the best constant answer, as "
    "they can by some metrics, that score takes the answer's place."
)


FEW_STEPS = 100
"""The number of steps below which an encoder may learn nothing."""


@dataclass(frozen=True, kw_only=True)
class Remark:
    """A remark on arms that are not shown to have learned a task, for the same reason."""

    state: LearningState
    arms: tuple[str, ...]
    task: str
    reason: str

    @property
    def sentence(self) -> str:
        """The remark as a sentence."""
        verb = "did not learn" if self.state == "did not learn" else "may not have learned"
        return f"{listed(self.arms)} {verb} {self.task}: {self.reason}"

    @property
    def words(self) -> str:
        """The remark as a line, with the mark that is shown beside the scores."""
        return f"{MARKS[self.state]}: {listed(self.arms)} on {self.task}: {self.reason}"


def mark(view: StudyView, arm: Arm, task: Task) -> str:
    """Return the mark beside the arm's score on the task; "" if it has learned."""
    found = view.learned(arm, task)
    return MARKS[found.state] if found is not None else ""


def has_learned(view: StudyView, arm: Arm, tasks: Sequence[Task]) -> bool:
    """Return whether the arm is shown to have learned each of the tasks."""
    found = [view.learned(arm, task) for task in tasks]
    return all(one is not None and one.state == "learned" for one in found)


def did_not_learn(view: StudyView, arm: Arm, task: Task) -> bool:
    """Return whether the arm is shown to have learned nothing of the task."""
    found = view.learned(arm, task)
    return found is not None and found.state == "did not learn"


def chance_note(view: StudyView, arms: Sequence[Arm]) -> str:
    """Return a note on the bar if it is not that of the best constant answer, else ""."""
    every = [view.learned(arm, task) for task in view.tasks for arm in arms]
    return CHANCE_NOTE if any(one is not None and one.chance is not None for one in every) else ""


def remarks(view: StudyView, arms: Sequence[Arm]) -> list[Remark]:
    """Return remarks, task by task, on the arms that are not shown to have learned.

    Arms with the same remark share it.
    """
    grouped: dict[tuple[str, LearningState, str], list[str]] = {}
    for task in view.tasks:
        for arm in arms:
            found = view.learned(arm, task)
            if found is not None and found.state != "learned":
                key = (task.name, found.state, reason(view, arm, task, found))
                grouped.setdefault(key, []).append(arm.name)
    return [
        Remark(state=state, arms=tuple(names), task=task, reason=why)
        for (task, state, why), names in grouped.items()
    ]


def reason(view: StudyView, arm: Arm, task: Task, found: Learned) -> str:
    """Return the evidence that an arm did not learn, or why it is unknown, and its causes."""
    records = [] if found.gain is None else view.done(arm, task)
    causes = dict.fromkeys(cause for record in records for cause in _causes(record))
    return ". ".join((_shown_words(found, task), *causes)) + "."


def learned_json(view: StudyView) -> list[dict[str, JsonValue]]:
    """Return an object per arm and task: its state, the scores behind that, and the reason."""
    rows: list[dict[str, JsonValue]] = []
    for task in view.tasks:
        for arm in view.arms:
            found = view.learned(arm, task)
            if found is None:
                continue
            low, high = found.interval or (None, None)
            rows.append(
                {
                    "arm": arm.name,
                    "task": task.name,
                    "state": found.state,
                    "best_constant": found.constant,
                    "chance": found.chance,
                    "gain": None if found.gain is None else found.gain.estimate,
                    "low": low,
                    "high": high,
                    "reason": "" if found.state == "learned" else reason(view, arm, task, found),
                }
            )
    return rows


def _shown_words(found: Learned, task: Task) -> str:
    """Return the findings about the runs as a clause."""
    gain, num_runs, num_constant = found.gain, found.num_runs, found.num_constant
    if gain is None:
        return "predictions are gone"
    if found.is_one_label:
        return "all scored examples have the same label, so no answer beats the constant one"
    bar = f"the best constant answer ({found.constant:.1f})"
    if found.chance is not None:
        bar = f"what its own predictions score in random order ({found.chance:.1f})"
    if num_constant == num_runs:
        runs = "the only run gives" if num_runs == 1 else f"{all_of(num_runs, 'runs')} give"
        best = f"the best such answer scores {found.constant:.1f}"
        return f"{runs} the same answer to all examples; {best}"
    words = f"{signed(gain.estimate)} points against {bar}"
    if of_losses([task]):
        words = f"better by {signed(gain.estimate)} points than {bar}"
    if found.interval:
        low, high = found.interval
        words += f", 95% interval {signed(low)} to {signed(high)}"
    if found.state == "did not learn" and not found.has_moved:
        words = f"score and loss have not changed since before the first step; {words}"
    elif found.state == "did not learn":
        words = f"not {GAIN:g} point better than {bar}: {words}"
    if num_constant:
        give = "gives" if num_constant == 1 else "give"
        words += f"; {num_constant} of {num_runs} runs {give} the same answer to all examples"
    return words


def _causes(record: TrialRecord) -> list[str]:
    """Return known reasons why such a trial does not learn, as sentences without a full stop."""
    training, found = record.trial.training, []
    if not METHODS.get(record.trial.method).trains_head:
        found.append(f"{record.trial.method} never trains the classifier's weights")
    if training.learning_rate == 0:
        return [*found, "The learning rate is 0"]
    if record.num_train_examples is not None and training.lr_scheduler_type != "constant":
        steps = training.total_steps(record.num_train_examples)
        warmup = training.num_warmup_steps(steps)
        if warmup >= steps:
            found.append(
                f"The warm-up of {counted(warmup, 'step')} is not over when the training is "
                f"({counted(steps, 'step')}): the learning rate never reaches its full value"
            )
    if record.num_train_examples is not None:
        steps = training.total_steps(record.num_train_examples)
        is_stopped = training.early_stopping_patience is not None and record.has_stopped_early
        if is_stopped and (taken := record.evaluations[-1].step) < FEW_STEPS:
            found.append(
                f"Early stopping ended the training after {counted(taken, 'step')}: a higher "
                "early_stopping_patience, or a higher learning rate, may help"
            )
        elif steps < FEW_STEPS:
            found.append(
                f"A training of {counted(steps, 'step')} is short: more epochs, or a higher "
                "learning rate, may help"
            )
    advice = learning_rate_advice(record.trial.method, training.learning_rate)
    if advice:
        rate = f"{training.learning_rate:g}"
        found.append(f"{record.trial.method} at a learning rate of {rate} {advice}")
    return found


def losses_words(view: StudyView, arms: Sequence[Arm], tasks: Sequence[Task]) -> list[str]:
    """Return sentences on the runs of these arms that failed or collapsed, task by task."""
    sentences = []
    for task in tasks:
        for arm in arms:
            num_runs = len(view.runs(arm, task))
            num_failed = view.num_failed(arm, task)
            if num_failed:
                runs = "the only run" if num_runs == 1 else f"{num_failed} of {num_runs} runs"
                sentences.append(
                    f"{runs[0].upper()}{runs[1:]} of {arm.name} on {task.name} failed"
                    + (": all numbers are for the others." if num_failed < num_runs else ".")
                )
            found = view.collapse(arm, task)
            if found is not None:
                sentences.append(f"{collapse_words(arm, task, found)}.")
            sentences += _constant_folds(view, arm, task)
    return sentences


def _constant_folds(view: StudyView, arm: Arm, task: Task) -> list[str]:
    """Return sentences on folds whose models gave one constant answer while others did not.

    Pooled with the answers of the other folds, theirs only lower the score of the run.
    """
    outcomes = None if task.problem_type == "regression" else view.outcomes(arm, task, ANSWERS)
    if outcomes is None or outcomes.folds is None:
        return []
    fold_N, words = outcomes.folds.fold_N, []
    folds = np.unique(fold_N).tolist()
    for seed, run_N in zip(outcomes.seeds, outcomes.predictions_SN, strict=True):
        constant = [fold for fold in folds if is_constant(run_N[fold_N == fold])]
        if constant and len(constant) < len(folds):
            which = "fold" if len(constant) == 1 else "folds"
            words.append(f"{which} {listed([str(fold) for fold in constant])} of seed {seed}")
    if not words:
        return []
    return [
        f"{arm.name} collapsed on {task.name} in {listed(words)}: its model there gives the same "
        "answer to all examples."
    ]


def collapse_words(arm: Arm, task: Task, found: Collapse) -> str:
    """Return a sentence, without a full stop, on collapsed runs and the scores of the others."""
    others = found.others
    num = others.num_values
    own = "the other one scores" if num == 1 else f"the other {num} score"
    interval = f" [{others.low:.1f}, {others.high:.1f}]" if others.has_interval else ""
    bar = "a constant answer scores"
    if found.has_chance:
        bar = "a constant answer, or its own predictions in random order, score"
    return (
        f"{found.num_collapsed} of {found.num_runs} runs of {arm.name} on {task.name} collapsed to "
        f"what {bar} (with 95% {found.low:.0%} to {found.high:.0%} of all runs "
        f"do); {own} {others.mean:.1f}{interval}"
    )
