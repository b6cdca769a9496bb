"""The answer to "which method?" in three sentences: what to use, how sure it is, what it costs."""

from __future__ import annotations

from dataclasses import dataclass

from peftlab.core.words import counted, data_size, duration
from peftlab.report.findings.advice import Advice, advise, within_words
from peftlab.report.findings.asking import questions
from peftlab.report.findings.better_words import highest
from peftlab.report.findings.costs import mean_cost
from peftlab.report.findings.questions import WHAT_TO_USE, open_words
from peftlab.report.findings.verdicts import verdicts
from peftlab.report.findings.view import StudyView, make_view
from peftlab.stats.noise import LEVEL
from peftlab.store.workspace import Workspace
from peftlab.study.arms import Arm
from peftlab.study.declarations import advice_options
from peftlab.study.parts import AdvicePart
from peftlab.study.stored_studies import stored_spec
from peftlab.study.tuning.attempts import attempts
from peftlab.tasks.registry import task_of
from peftlab.tasks.scores import score_words, sign_of


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The arm to use and three sentences on it; None where no arm can be named yet.

    `trial` is the id of its first run that is done: which run scores best on dev has no part in it.
    """

    arm: str | None
    is_decided: bool
    sentences: tuple[str, ...]
    trial: str | None = None

    @classmethod
    def of_nothing(cls) -> Answer:
        """Return the answer before anything is measured."""
        return cls(
            arm=None,
            is_decided=False,
            sentences=("Nothing is measured yet, so that no method can be named.",),
        )


def answer_of(workspace: Workspace, study: str) -> Answer:
    """Return the answer that the trials of a study give by now, over all of its tasks."""
    view = make_view(workspace, study)
    options = advice_options(view.spec)[0]
    advice = advise(
        view, view.tasks, margin=options.margin, reference=options.reference, cost=options.cost
    )
    arm = advice.chosen or advice.safe or advice.reference
    if arm is None:
        return Answer.of_nothing()
    done = view.done(arm, view.tasks[0])
    return Answer(
        arm=arm.name,
        is_decided=advice.chosen is not None,
        sentences=(
            _use_words(view, advice, arm),
            _sure_words(view, advice, arm, options),
            _cost_words(view, arm),
        ),
        trial=done[0].trial.id if done else None,
    )


def answer_of_search(workspace: Workspace, study: str) -> Answer:
    """Return the answer that a search gives by scores on rows held out of train alone."""
    spec = stored_spec(workspace, study)
    tried = [one for one in attempts(spec, workspace.trials(study)) if one.is_best and one.held_out]
    tasks = [task_of(record.trial) for record in workspace.trials(study)]
    if not tried or not tasks:
        return Answer.of_nothing()
    metric = tasks[0].main_metric
    best = max(tried, key=lambda one: sign_of(metric) * (one.held_out or 0.0))
    score = score_words(metric, best.held_out or 0.0, 1)
    return Answer(
        arm=best.arm,
        is_decided=False,
        sentences=(
            f"Use {best.arm} for now: its best setting so far scores {score} "
            f"({metric.replace('_', ' ')}) on rows held out of train.",
            "Nothing is scored on dev yet, and it is one run of each method, so that this is only "
            "a first look.",
        ),
        trial=best.trials[0] if best.trials else None,
    )


def _use_words(view: StudyView, advice: Advice, arm: Arm) -> str:
    scores = []
    for task in view.tasks:
        summary = view.summary(arm, task)
        if summary is not None:
            metric = task.main_metric
            low, high = (score_words(metric, one, 1) for one in (summary.low, summary.high))
            interval = f" [{low}, {high}]" if summary.has_interval else ""
            scores.append(
                f"{metric.replace('_', ' ')} {score_words(metric, summary.mean, 1)}{interval}"
            )
    if advice.chosen is not None:
        return f"Use {arm.name}: {', '.join(scores)} {view.scored_words}."
    if advice.safe is not None:
        return f"Use {arm.name}, which will do: {', '.join(scores)} {view.scored_words}."
    return (
        f"Use {arm.name} for now, which has the {highest(view.tasks)} mean: {', '.join(scores)} "
        f"{view.scored_words}."
    )


def _sure_words(view: StudyView, advice: Advice, arm: Arm, options: AdvicePart) -> str:
    num_runs = min(len(view.done(arm, task)) for task in view.tasks)
    if advice.chosen is not None:
        within = within_words(options.margin, advice.reference if advice.is_named else None)
        return (
            f"It is shown to stay {within} of {counted(len(view.arms), 'method')}, with "
            f"{1 - LEVEL:.0%} confidence for all together ({counted(num_runs, 'seed')} of it)."
        )
    asked = [one for one in questions(view, verdicts(view)) if one.name == WHAT_TO_USE]
    said = open_words(view, asked) or [f"{one.name}: {one.why}." for one in asked]
    return f"This is not decided ({counted(num_runs, 'seed')} of it). {' '.join(said)}"


def _cost_words(view: StudyView, arm: Arm) -> str:
    phrases = []
    seconds = [mean_cost(view, arm, task, "time") for task in view.tasks]
    known = [one for one in seconds if one is not None]
    if known:
        phrases.append(f"a training takes {duration(sum(known))}")
    sizes = [
        record.costs.artifact_bytes
        for task in view.tasks
        for record in view.done(arm, task)
        if record.costs is not None and record.costs.artifact_bytes is not None
    ]
    if sizes:
        phrases.append(f"what it saves has {data_size(max(sizes))}")
    trainable = [
        record.costs.parameters.trainable
        for task in view.tasks
        for record in view.done(arm, task)
        if record.costs is not None
    ]
    if trainable:
        phrases.append(f"{max(trainable):,} parameters are trained")
    return f"What it costs: {', '.join(phrases)}." if phrases else "What it costs is not known."
