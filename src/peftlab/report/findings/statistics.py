"""The statistics of a study's trials, from their predictions; each is computed only once.

All arms of a task are resampled together, so that any two of them are paired by example. The draws
are seeded by the ids of the trials: the same results give the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

import numpy as np

from peftlab.core.identity import content_id, derived_seed
from peftlab.report.findings.class_numbers import ANSWERS, ClassNumbers, class_numbers
from peftlab.report.findings.runs import Run, outcomes_of, runs_of
from peftlab.stats.collapse import Collapse, collapse_of
from peftlab.stats.compare import Comparison, Difference, compare, difference
from peftlab.stats.learned import Constants, Learned, constants_of, has_moved, judge
from peftlab.stats.noise import noise_of
from peftlab.stats.outcomes import Outcomes
from peftlab.stats.resample import Resampled, mean_over_tasks, resample
from peftlab.stats.summary import Summary, summarise, summarise_scores
from peftlab.store.records import TrialRecord
from peftlab.tasks.metrics.metric import Reads
from peftlab.tasks.metrics.registry import METRICS
from peftlab.tasks.spec import Task

Place = tuple[str, str]
"""The names of an arm and a task."""


@dataclass(frozen=True, kw_only=True)
class _Read:
    """An arm's outcomes on a task, and a name for their examples."""

    outcomes: Outcomes
    examples: str


@dataclass(frozen=True, kw_only=True)
class MeanScore:
    """An arm's main score in points, the mean over tasks, and its 95% interval.

    `low` and `high` equal the mean if no noise was seen.
    """

    mean: float
    low: float
    high: float

    @property
    def has_interval(self) -> bool:
        """Whether any noise was seen."""
        return self.low < self.high


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """The outcomes, summaries and comparisons of the arms of these records."""

    by_place: Mapping[Place, Sequence[TrialRecord]]
    _outcomes: dict[tuple[Place, Reads], _Read | None] = field(default_factory=dict, init=False)
    _resampled: dict[Place, Resampled] = field(default_factory=dict, init=False)
    _constants: dict[Place, tuple[Constants, Resampled]] = field(default_factory=dict, init=False)
    _differences: dict[tuple[str, str, tuple[str, ...]], Difference | None] = field(
        default_factory=dict, init=False
    )
    _collapses: dict[Place, Collapse | None] = field(default_factory=dict, init=False)
    _learned: dict[Place, Learned | None] = field(default_factory=dict, init=False)
    _summaries: dict[tuple[Place, str], Summary | None] = field(default_factory=dict, init=False)
    _comparisons: dict[tuple[str, str, str], Comparison | None] = field(
        default_factory=dict, init=False
    )
    _classes: dict[Place, tuple[ClassNumbers, ...]] = field(default_factory=dict, init=False)

    def outcomes(self, arm: str, task: Task, metric: str | None = None) -> Outcomes | None:
        """Return the outcomes of the arm's runs on the task for a metric, by default the main.

        Folds are pooled. It is None if no run is done, or if any run's predictions are gone.
        """
        name = metric or task.main_metric
        found = self._outcomes_of(arm, task, name)
        if found is None or found.outcomes.metric == name:
            return found.outcomes if found else None
        return replace(found.outcomes, metric=name)

    def summary(self, arm: str, task: Task, metric: str) -> Summary | None:
        """Return the summary of the metric at the reported epochs; None if no trial is done."""
        key = ((arm, task.name), metric)
        if key not in self._summaries:
            self._summaries[key] = self._summarise(arm, task, metric)
        return self._summaries[key]

    def mean_score(self, arm: str, tasks: Sequence[Task]) -> MeanScore | None:
        """Return the mean of the main scores on the tasks; None if the arm lacks any of them.

        The interval over several tasks is that of the seeds that they have in common; without
        common seeds there is none.
        """
        found = [self.summary(arm, task, task.main_metric) for task in tasks]
        known = [one for one in found if one is not None]
        if len(known) < len(found):
            return None
        if len(known) == 1:
            return MeanScore(mean=known[0].mean, low=known[0].low, high=known[0].high)
        mean = fmean(one.mean for one in known)
        drawn = [one for task in tasks if (one := self.resampled(arm, task)) is not None]
        together = mean_over_tasks(drawn) if len(drawn) == len(tasks) else None
        if together is None:
            return MeanScore(mean=mean, low=mean, high=mean)
        half = noise_of(together).half_width
        metrics = [METRICS.get(task.main_metric) for task in tasks]
        least = fmean(metric.lowest_score for metric in metrics)
        most = fmean(metric.highest_score for metric in metrics)
        return MeanScore(mean=mean, low=max(mean - half, least), high=min(mean + half, most))

    def resampled(self, arm: str, task: Task) -> Resampled | None:
        """Return the arm's main scores under the resamples that all arms of the task share."""
        if self._outcomes_of(arm, task) is None:
            return None
        if (arm, task.name) not in self._resampled:
            self._resample(task)
        return self._resampled[arm, task.name]

    def learned(self, arm: str, task: Task) -> Learned | None:
        """Return whether the arm has learned the task; None if no trial is done."""
        cell = (arm, task.name)
        if cell not in self._learned:
            self._learned[cell] = self._judge(arm, task)
        return self._learned[cell]

    def collapse(self, arm: str, task: Task) -> Collapse | None:
        """Return the collapse of the arm's runs; None if none collapsed, or it is unknown."""
        cell = (arm, task.name)
        if cell not in self._collapses:
            known = self._beside_constants(arm, task)
            self._collapses[cell] = collapse_of(*known) if known else None
        return self._collapses[cell]

    def classes(self, arm: str, task: Task) -> tuple[ClassNumbers, ...]:
        """Return the arm's scores by class; none if predictions are missing."""
        cell = (arm, task.name)
        if cell not in self._classes:
            found = self.outcomes(arm, task, ANSWERS)
            self._classes[cell] = class_numbers(found, len(task.labels)) if found else ()
        return self._classes[cell]

    def are_identical(self, left: str, right: str, tasks: Sequence[Task]) -> bool:
        """Return whether both arms gave the same answers, each run the same as its partner.

        If the arms have different seeds, all runs of both must agree.
        """
        return all(self._are_identical(left, right, task) for task in tasks)

    def comparison(self, left: str, right: str, task: Task) -> Comparison | None:
        """Return left - right in the main metric; None if they cannot be paired by example."""
        key = (left, right, task.name)
        if key not in self._comparisons:
            self._comparisons[key] = self._compare(left, right, task)
        return self._comparisons[key]

    def difference(self, left: str, right: str, tasks: Sequence[Task]) -> Difference | None:
        """Return left - right as the mean over the tasks; None if they cannot be compared on all.

        Only seeds that all tasks have are used: a seed draws the same initial weights on each, so
        that its luck is not counted as independent.
        """
        key = (left, right, tuple(task.name for task in tasks))
        if key not in self._differences:
            self._differences[key] = self._difference(left, right, tasks)
        return self._differences[key]

    def _difference(self, left: str, right: str, tasks: Sequence[Task]) -> Difference | None:
        if any(not self._on_the_same_examples(left, right, task) for task in tasks):
            return None
        sides = [
            mean_over_tasks([one for task in tasks if (one := self.resampled(arm, task))])
            for arm in (left, right)
        ]
        if sides[0] is None or sides[1] is None:
            return None
        return difference(sides[0], sides[1])

    def _on_the_same_examples(self, left: str, right: str, task: Task) -> bool:
        first, second = self._outcomes_of(left, task), self._outcomes_of(right, task)
        return first is not None and second is not None and first.examples == second.examples

    def _summarise(self, arm: str, task: Task, metric: str) -> Summary | None:
        every = runs_of(self.by_place.get((arm, task.name), ()))
        num_failed = sum(run.is_failed for run in every)
        scores = [run.score(metric) for run in every if run.is_done]
        if not scores:
            return None
        # For the dev splits of other tasks there are scores but no predictions.
        is_own = metric in task.metrics
        outcomes = self.outcomes(arm, task, metric) if is_own else None
        if outcomes is None:
            return summarise_scores(metric, scores, num_failed)
        is_main = metric == task.main_metric
        return summarise(
            outcomes, num_failed, resampled=self.resampled(arm, task) if is_main else None
        )

    def _judge(self, arm: str, task: Task) -> Learned | None:
        runs = self._runs(arm, task)
        if not runs:
            return None
        known = self._beside_constants(arm, task)
        if known is None:
            return Learned(state="cannot tell", num_runs=len(runs))
        records = [record for run in runs for record in run.records]
        return judge(*known, has_moved=_has_moved(records, task))

    def _beside_constants(
        self, arm: str, task: Task
    ) -> tuple[Outcomes, Resampled, Constants, Resampled] | None:
        """Return outcomes of the arm and of constant answers, both resampled; None if unknown."""
        read, resampled = self._outcomes_of(arm, task), self.resampled(arm, task)
        if read is None or resampled is None:
            return None
        return read.outcomes, resampled, *self._constants[task.name, read.examples]

    def _are_identical(self, left: str, right: str, task: Task) -> bool:
        if not self._on_the_same_examples(left, right, task):
            return False
        first, second = self.outcomes(left, task), self.outcomes(right, task)
        assert first is not None
        assert second is not None
        if set(first.seeds) == set(second.seeds):
            second = second.of_seeds(list(first.seeds))
            return np.array_equal(first.predictions_SN, second.predictions_SN)
        every = np.concatenate([first.predictions_SN, second.predictions_SN])
        return bool((every == every[:1]).all())

    def _compare(self, left: str, right: str, task: Task) -> Comparison | None:
        if not self._on_the_same_examples(left, right, task):
            return None
        arms = (left, right)
        outcomes = [one for arm in arms if (one := self.outcomes(arm, task))]
        drawn = [own for arm in arms if (own := self.resampled(arm, task))]
        return compare(*outcomes, resampled=(drawn[0], drawn[1]), seed=self._seed(task, arms))

    def _resample(self, task: Task) -> None:
        """Resample all arms of the task, together if they are on the same examples."""
        groups: dict[str, list[str]] = {}
        for arm, name in self.by_place:
            found = self._outcomes_of(arm, task) if name == task.name else None
            if found is not None:
                groups.setdefault(found.examples, []).append(arm)
        for examples, arms in groups.items():
            every = [self.outcomes(arm, task) for arm in arms]
            generator = np.random.default_rng(self._seed(task, arms))
            known = [one for one in every if one is not None]
            constants = constants_of(known)
            *drawn, of_constants = resample([*known, constants.outcomes], generator)
            self._constants[task.name, examples] = constants, of_constants
            for arm, one in zip(arms, drawn, strict=True):
                self._resampled[arm, task.name] = one

    def _seed(self, task: Task, arms: Sequence[str]) -> int:
        ids = [record.trial.id for arm in arms for record in self.by_place[arm, task.name]]
        return derived_seed(0, task.name, content_id(ids))

    def _outcomes_of(self, arm: str, task: Task, metric: str | None = None) -> _Read | None:
        """Return the outcomes that a metric reads, by default the main one; cached."""
        wanted = (task.main_metric, metric or task.main_metric)
        reads = METRICS.get(wanted[1]).reads
        key = (arm, task.name), reads
        if key not in self._outcomes:
            name = next(name for name in wanted if METRICS.get(name).reads == reads)
            self._outcomes[key] = _joint_outcomes(self._runs(arm, task), name)
        return self._outcomes[key]

    def _runs(self, arm: str, task: Task) -> list[Run]:
        """Return the arm's runs that are done, with all of their folds if they have any."""
        return [run for run in runs_of(self.by_place.get((arm, task.name), ())) if run.is_done]


def _has_moved(records: Sequence[TrialRecord], task: Task) -> bool:
    """Return whether training changed any of the runs; True if that was not measured."""
    pairs = [(record.evaluations[0], record.reported) for record in records if record.evaluations]
    known = [(first, last) for first, last in pairs if last is not None and first.step == 0]
    if len(known) < len(records) or any(first is last for first, last in known):
        return True
    metric = task.main_metric
    return has_moved(
        [(first.scores[metric], last.scores[metric]) for first, last in known],
        [(first.eval_loss, last.eval_loss) for first, last in known],
    )


def _joint_outcomes(runs: Sequence[Run], metric: str) -> _Read | None:
    """Return the outcomes of an arm's done runs, which must be on the same examples."""
    found = outcomes_of(runs, metric)
    if found is None:
        return None
    first, outcomes = found
    return _Read(
        outcomes=outcomes, examples=content_id([first.row_ids.tolist(), first.labels.tolist()])
    )
