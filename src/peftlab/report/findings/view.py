"""A study in the form that its report reads: arms, tasks, and their records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean

from peftlab.core.selection import folds_words
from peftlab.core.trial import rules_in_words
from peftlab.report.findings.marks import mark_note, marked
from peftlab.report.findings.runs import Run, runs_of
from peftlab.report.findings.statistics import MeanScore, Statistics
from peftlab.stats.collapse import Collapse
from peftlab.stats.compare import Comparison
from peftlab.stats.learned import Learned
from peftlab.stats.outcomes import Outcomes
from peftlab.stats.summary import Summary, summarise_scores
from peftlab.store.ledger import known_looks
from peftlab.store.looks import Look, now
from peftlab.store.records import TrialRecord
from peftlab.store.rows import damaged
from peftlab.store.workspace import Workspace
from peftlab.study.arms import Arm, chosen_arms, every_arm, select_arms
from peftlab.study.checks import check_arm_names
from peftlab.study.declarations import (
    DeclaredPlaces,
    PlacedTrial,
    by_train_size,
    look_at,
    placed_trial,
    places_of,
)
from peftlab.study.spec import StudySpec
from peftlab.study.stored_studies import stored_spec
from peftlab.study.train_sizes import largest_sizes, order_of_size
from peftlab.tasks.metrics.own import require_sources
from peftlab.tasks.registry import TASKS, task_of
from peftlab.tasks.scores import sign_of
from peftlab.tasks.spec import Task


@dataclass(frozen=True, kw_only=True)
class StudyView:
    """The spec, its arms in order, and all records, also by (arm, task).

    Of a study with train_sizes `by_place` has the records of the largest one, and `smaller` the
    views of the others, by their number of rows in ascending order.

    `looks` are the looks at its trials so far, in this workspace or by this user.
    `looks_remembered` is False if the workspace cannot be written, so that it will not know of the
    next look.
    """

    spec: StudySpec
    arms: tuple[Arm, ...]
    tasks: tuple[Task, ...]
    records: tuple[TrialRecord, ...]
    by_place: Mapping[tuple[str, str], tuple[TrialRecord, ...]]
    looks: tuple[Look, ...] = ()
    looks_remembered: bool = True
    smaller: Mapping[int, StudyView] = field(default_factory=dict)

    def choose(self, names: Sequence[str] | None) -> tuple[Arm, ...]:
        """Return the arms with these names that are in this run of the study; all arms for None."""
        if names is None:
            return self.arms
        wanted = {arm.name for arm in self.arms}
        every = every_arm(self.spec, resolve=False)
        chosen = select_arms(every, tuple(names), where="report")
        by_name = {arm.name: arm for arm in self.arms}
        ordered = sorted(chosen, key=lambda arm: _place(arm, names))
        return tuple(by_name[arm.name] for arm in ordered if arm.name in wanted)

    def of(self, arm: Arm, task: Task) -> tuple[TrialRecord, ...]:
        """Return the records of an arm on a task, one for each seed and fold."""
        return self.by_place.get((arm.name, task.name), ())

    def done(self, arm: Arm, task: Task) -> tuple[TrialRecord, ...]:
        """Return the records of an arm on a task that are done."""
        return tuple(record for record in self.of(arm, task) if record.status == "done")

    def runs(self, arm: Arm, task: Task) -> tuple[Run, ...]:
        """Return the runs of an arm on a task: one per seed, of one trial or one trial per fold."""
        return runs_of(self.of(arm, task))

    def has_run(self, arm: Arm, task: Task) -> bool:
        """Return whether any run of the arm on the task is done, with all of its folds."""
        return any(run.is_done for run in self.runs(arm, task))

    def label(self, arm: Arm) -> str:
        """Return the arm's name for tables, with a mark if its scores need the `note`."""
        return marked(arm.name, self._of_all_tasks(arm))

    def note(self, arms: Sequence[Arm]) -> str:
        """Return the meaning of the marks of these arms; "" if there are none."""
        return mark_note(record for arm in arms for record in self._of_all_tasks(arm))

    def outcomes(self, arm: Arm, task: Task, metric: str | None = None) -> Outcomes | None:
        """Return the predictions of the done runs for a metric, by default the main; cached.

        It is None if no run is done, or if any run's predictions are gone.
        """
        return self.statistics.outcomes(arm.name, task, metric)

    def num_failed(self, arm: Arm, task: Task) -> int:
        """Return the number of failed runs of an arm on a task."""
        return sum(run.is_failed for run in self.runs(arm, task))

    def summary(
        self, arm: Arm, task: Task, metric: str | None = None, *, best: bool = False
    ) -> Summary | None:
        """Return the done trials' summary of a metric, by default the main; None if none is done.

        It is that of the reported epoch (`rule`) or, with `best`, of the best epoch on dev. In the
        latter case, and if predictions are gone, the interval covers only the noise of seeds.
        """
        name = metric or task.main_metric
        if best:
            runs = [run for run in self.runs(arm, task) if run.is_done]
            scores = [run.score(name, best=True) for run in runs]
            return summarise_scores(name, scores) if scores else None
        return self.statistics.summary(arm.name, task, name)

    def mean_score(self, arm: Arm, tasks: Sequence[Task]) -> MeanScore | None:
        """Return the mean of the arm's main scores on the tasks; None if any is missing."""
        return self.statistics.mean_score(arm.name, tasks)

    def learned(self, arm: Arm, task: Task) -> Learned | None:
        """Return whether the arm has learned the task (stats/learned.py); None if not done."""
        return self.statistics.learned(arm.name, task)

    def collapse(self, arm: Arm, task: Task) -> Collapse | None:
        """Return the collapse of the arm's runs on the task (stats/collapse.py), or None."""
        return self.statistics.collapse(arm.name, task)

    def comparison(self, left: Arm, right: Arm, task: Task) -> Comparison | None:
        """Return left - right in the main metric; None if they cannot be paired by example."""
        return self.statistics.comparison(left.name, right.name, task)

    @cached_property
    def statistics(self) -> Statistics:
        """The statistics of the trials' predictions."""
        return Statistics(by_place=self.by_place)

    @cached_property
    def placed(self) -> tuple[PlacedTrial, ...]:
        """The study's trials in the form that looks store."""
        arms: dict[int, list[str]] = {}
        for view in (self, *self.smaller.values()):
            for (arm, _), records in view.by_place.items():
                for record in records:
                    arms.setdefault(id(record), []).append(arm)
        return tuple(placed_trial(record, (*arms.get(id(record), ()),)) for record in self.records)

    @cached_property
    def places(self) -> DeclaredPlaces:
        """The declarations of the trials in `by_place`, by arm and task."""
        every = by_train_size(self.placed)
        return places_of(every[0]) if every else {}

    @property
    def metric_sources(self) -> tuple[tuple[str, str], ...]:
        """The user's own metrics, each with the SHA-256 of its source."""
        return (*dict.fromkeys(one for task in self.tasks for one in task.metric_sources),)

    @cached_property
    def look(self) -> Look:
        """The look at the study in its current state, dated at the first access."""
        return look_at(self.spec, self.placed, now())

    @property
    def rule(self) -> str:
        """The words for the rule that chooses the evaluation whose scores are reported."""
        return rules_in_words(record.trial for record in self.records)

    @property
    def scored_words(self) -> str:
        """The words for the rows on which scores are measured, as the end of a title."""
        folds = self.spec.folds
        return "on dev" if folds is None else f"by {folds_words(folds)}"

    @property
    def scored_split(self) -> str:
        """The split whose rows are scored."""
        return "dev" if self.spec.folds is None else "train"

    def _of_all_tasks(self, arm: Arm) -> list[TrialRecord]:
        return [record for task in self.tasks for record in self.of(arm, task)]

    def missing(self, arms: Sequence[Arm]) -> list[str]:
        """Return one line for each trial of these arms that is not measured."""
        lines = []
        for task in self.tasks:
            for arm in arms:
                for record in self.of(arm, task):
                    if record.status != "done":
                        cause = f": {record.error.splitlines()[0]}" if record.error else ""
                        lines.append(
                            f"{arm.name} on {task.name}, {record.trial.run_words} "
                            f"({record.status}{cause})"
                        )
        return lines


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The arms shown, and a `note` for the title if there are more; "" if there are not."""

    arms: tuple[Arm, ...]
    note: str = ""


def leading(view: StudyView, names: Sequence[str] | None, most: int) -> Shown:
    """Return the arms of these names; for None all, or only the first ones if there are too many.

    Those are the ones whose scores have the best ranks in the mean: ranks and not scores are
    averaged, for an arm may not be measured on every task.
    """
    if names is not None or len(view.arms) <= most:
        return Shown(arms=view.choose(names))
    ranks: dict[str, list[float]] = {arm.name: [] for arm in view.arms}
    for task in view.tasks:
        scores = {arm.name: view.summary(arm, task) for arm in view.arms}
        sign = sign_of(task.main_metric)
        merits = {name: sign * one.mean for name, one in scores.items() if one is not None}
        for rank, name in enumerate(sorted(merits, key=lambda name: -merits[name])):
            ranks[name].append(rank / len(merits))
    best = sorted(view.arms, key=lambda arm: fmean(ranks[arm.name] or [1.0]))[:most]
    names = [arm.name for arm in best]
    return Shown(
        arms=tuple(arm for arm in view.arms if arm.name in names),
        note=f" ({most} of {len(view.arms)} arms, those that score best)",
    )


def make_view(workspace: Workspace, study: str) -> StudyView:
    """Return the view of a study in a workspace; raise UserError if it has not been run there."""
    spec = stored_spec(workspace, study)
    every = every_arm(spec, resolve=False)
    check_arm_names(spec, every)
    records = tuple(workspace.trials(study))
    for record in records:
        _check_scores(record, workspace.where)
    of_trials = {record.trial.task: task_of(record.trial) for record in records}
    for task in of_trials.values():
        require_sources(task.metric_sources, where=workspace.where)
    return view_of(
        spec,
        chosen_arms(spec, every),
        tuple(of_trials.get(task) or TASKS.get(task) for task in spec.tasks),
        records,
        looks=known_looks(workspace, [record.trial.id for record in records]),
        looks_remembered=workspace.may_be_written,
    )


def view_of(
    spec: StudySpec,
    arms: tuple[Arm, ...],
    tasks: tuple[Task, ...],
    records: Sequence[TrialRecord],
    *,
    looks: tuple[Look, ...] = (),
    looks_remembered: bool = True,
) -> StudyView:
    """Return the view of these records of a study, whose arms they name."""
    largest = largest_sizes((one.trial.task, one.trial.train_size) for one in records)
    by_size: dict[int | None, list[TrialRecord]] = {None: []}
    for record in records:
        size = record.trial.train_size
        is_largest = size == largest[record.trial.task]
        by_size.setdefault(None if is_largest else size, []).append(record)
    views = {
        size: StudyView(
            spec=spec,
            arms=arms,
            tasks=tuple(task for task in tasks if size is None or _has(own, task)),
            records=tuple(own),
            by_place=_by_place(own, spec.name),
            looks=looks,
            looks_remembered=looks_remembered,
        )
        for size, own in by_size.items()
    }
    whole = views.pop(None)
    smaller = {size: views[size] for size in sorted(views, key=order_of_size) if size is not None}
    return replace(whole, records=tuple(records), smaller=smaller)


def _by_place(
    records: Sequence[TrialRecord], study: str
) -> dict[tuple[str, str], tuple[TrialRecord, ...]]:
    by_place: dict[tuple[str, str], list[TrialRecord]] = {}
    for record in records:
        for arm in record.arms[study]:
            by_place.setdefault((arm, record.trial.task), []).append(record)
    return {place: tuple(own) for place, own in by_place.items()}


def _has(records: Sequence[TrialRecord], task: Task) -> bool:
    return any(record.trial.task == task.name for record in records)


def _check_scores(record: TrialRecord, where: str) -> None:
    """Raise UserError if a trial that is done lacks a score of its task."""
    if record.status == "done":
        task = task_of(record.trial, where=where)
        for metric in (*task.metrics, *task.further_metrics):
            if metric not in record.scores or metric not in record.best_scores:
                raise damaged(f"the trial {record.trial.id} has no score '{metric}'", where)


def _place(arm: Arm, names: Sequence[str]) -> int:
    """Return the position of the arm's name, or of its sweep's name, among the names."""
    return list(names).index(arm.name if arm.name in names else arm.base)
