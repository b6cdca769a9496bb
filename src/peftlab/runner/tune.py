"""The execution of a study's searches: settings asked for, trained, given up or kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from peftlab.core.interrupts import stopping_gently
from peftlab.core.scores import main_merit
from peftlab.core.selection import reported
from peftlab.core.trial import Trial
from peftlab.engine.events import Listener, all_of
from peftlab.engine.job import Job
from peftlab.engine.registry import ENGINES
from peftlab.runner.execute import STOPPING
from peftlab.runner.executors.base import Executor, JobSource
from peftlab.runner.record import Recorder
from peftlab.runner.sampler import REDUCTION, Sampler, Suggestion, opened_storage
from peftlab.store.lock import held
from peftlab.store.records import Status, TrialRecord
from peftlab.store.workspace import Workspace
from peftlab.study.tuning.attempts import Ended, SearchAttempt, attempts, numbered, spent_seconds
from peftlab.study.tuning.search import Search, Searches

LEFT: dict[Ended, set[Status]] = {
    "done": {"done"},
    "pruned": {"pruned", "done"},
    "failed": {"failed", "done", "pending", "pruned"},
}
"""The statuses in which an ended setting leaves its trials."""


def tune(
    searches: Searches,
    workspace: Workspace,
    *,
    display: Listener,
    attempted: Callable[[SearchAttempt], None],
    executor: Executor,
    device: str = "auto",
) -> None:
    """Search until every arm on every task has spent its budget, earlier spending included.

    `attempted` is told of each setting that has ended.

    Raises UserError, StorageError and KeyboardInterrupt with everything that was measured stored,
    from where the same call goes on.
    """
    name = searches.spec.name
    with (
        held(workspace.path, study=name),
        opened_storage(workspace.path) as storage,
        stopping_gently(STOPPING),
    ):
        workspace.reset_running()
        workspace.remove_spent_checkpoints()
        samplers = [
            Sampler(search, storage, study=name, pruning=searches.tune.pruning)
            for search in searches.searches
        ]
        feeder = _Feeder(searches, samplers, workspace, attempted, device)
        source = JobSource(
            next_job=feeder.next_job,
            device=device,
            most=sum(len(search.templates) for search in searches.searches),
        )
        executor.run(source, all_of(Recorder(workspace, searches.expanded.rows), display))


@dataclass(kw_only=True)
class _Setting:
    """A setting that is now tried.

    `rungs` are the epochs, in order, after which it is decided whether it goes on.
    """

    suggestion: Suggestion
    trials: tuple[Trial, ...]
    rungs: list[int]


@dataclass(kw_only=True)
class _RunningSearch:
    """A search, what it tries now, and the trials of all settings that it has begun, by number."""

    search: Search
    sampler: Sampler
    setting: _Setting | None = None
    begun: dict[int, tuple[Trial, ...]] = field(default_factory=dict)
    best: int | None = None


class _Feeder:
    """A source of the jobs of all searches, first of the one with the fewest begun settings.

    A search tries one setting at a time, whose seeds may be trained beside one another: what it
    suggests does not depend on which of two settings happens to end first.
    """

    def __init__(
        self,
        searches: Searches,
        samplers: list[Sampler],
        workspace: Workspace,
        attempted: Callable[[SearchAttempt], None],
        device: str,
    ) -> None:
        self._spec, self._tune = searches.spec, searches.tune
        self._workspace, self._attempted, self._device = workspace, attempted, device
        self._prunes = searches.tune.pruning != "none" and ENGINES.get(searches.spec.engine).rests
        self._running = [
            _RunningSearch(search=search, sampler=sampler)
            for search, sampler in zip(searches.searches, samplers, strict=True)
        ]
        for one in self._running:
            self._recall(one)
        self._place()
        for one in self._running:
            one.best = next((found.number for found in self._attempts(one) if found.is_best), None)
        self._place()

    def next_job(self) -> Job | None:
        """Return the job of the next trial to be trained, or to be trained further."""
        for one in sorted(self._running, key=lambda one: len(one.begun)):
            job = self._next_of(one)
            if job is not None:
                return job
        return None

    def _next_of(self, one: _RunningSearch) -> Job | None:
        """Return a job of that search; None while it waits for another one, or if it is over."""
        while one.setting is not None or not self._is_spent(one):
            setting = one.setting or self._begin(one)
            records = [self._workspace.trial(trial.id) for trial in setting.trials]
            statuses = {record.status for record in records}
            rung = setting.rungs[0]
            if "failed" not in statuses:
                for record in records:
                    if record.status != "running" and not _has_reached(record, rung):
                        return self._job(one, record.trial, rung)
            if "running" in statuses:
                return None
            self._decide(one, setting, records)
        return None

    def _job(self, one: _RunningSearch, trial: Trial, rung: int) -> Job:
        return Job(
            trials=(trial,),
            folders={trial.id: self._workspace.artifacts(trial.id)},
            cache=self._workspace.cache,
            device=self._device,
            checkpoint_every=self._spec.checkpoint_every,
            stop_after=rung if rung < one.search.num_epochs(trial) else None,
        )

    # One search

    def _recall(self, one: _RunningSearch) -> None:
        """Recall the settings that have ended; begin anew if their trials are gone."""
        ended = one.sampler.ended()
        trials = [one.search.trials(found.setting) for found in ended]
        statuses = self._workspace.statuses(trial.id for own in trials for trial in own)
        for found, own in zip(ended, trials, strict=True):
            if not {statuses[trial.id] for trial in own} <= LEFT[found.status]:
                one.sampler.forget()
                return
        one.begun = dict(enumerate(trials))

    def _is_spent(self, one: _RunningSearch) -> bool:
        budget = self._tune.budget
        if budget.trials is not None:
            return len(one.begun) >= budget.trials
        assert budget.seconds is not None
        ids = {trial.id for trials in one.begun.values() for trial in trials}
        spent = sum(spent_seconds(self._workspace.trial(trial_id)) for trial_id in ids)
        return spent >= budget.seconds

    def _begin(self, one: _RunningSearch) -> _Setting:
        suggestion = one.sampler.next()
        trials = one.search.trials(suggestion.setting)
        last = one.search.num_epochs(trials[0])
        pauses = _powers(REDUCTION, below=last) if self._prunes else []
        one.begun[suggestion.number] = trials
        one.setting = _Setting(suggestion=suggestion, trials=trials, rungs=[*pauses, last])
        self._place()
        return one.setting

    def _decide(self, one: _RunningSearch, setting: _Setting, records: list[TrialRecord]) -> None:
        """End the setting or let it continue: its seeds have come to the rung, or one has
        failed."""
        rung, *further = setting.rungs
        if any(record.status == "failed" for record in records):
            self._end(one, setting, "failed")
            return
        score = float(np.mean([_score_until(record, rung) for record in records]))
        if not further:
            self._end(one, setting, "done", score)
        elif one.sampler.should_prune(setting.suggestion, epoch=rung, score=score):
            for record in records:
                if record.status != "done":
                    self._workspace.prune(record.trial.id)
            self._end(one, setting, "pruned")
        else:
            setting.rungs = further

    def _end(
        self, one: _RunningSearch, setting: _Setting, status: Ended, score: float | None = None
    ) -> None:
        one.sampler.end(setting.suggestion, status, score)
        one.setting = None
        for attempt in self._attempts(one):
            if attempt.is_best:
                one.best = attempt.number
            if attempt.number == setting.suggestion.number:
                self._attempted(attempt)
        self._place()

    def _attempts(self, one: _RunningSearch) -> tuple[SearchAttempt, ...]:
        """Return the results of the search's settings."""
        trials = {trial.id for trials in one.begun.values() for trial in trials}
        found = attempts(self._spec, [self._workspace.trial(trial) for trial in trials])
        return tuple(
            attempt
            for attempt in found
            if (attempt.arm, attempt.task) == (one.search.arm.name, one.search.task)
        )

    def _place(self) -> None:
        """Store the study with all trials that were begun, each under the name of its setting."""
        trials: dict[str, Trial] = {}
        arms: dict[str, tuple[str, ...]] = {}
        for one in self._running:
            for number, own in one.begun.items():
                best = (one.search.arm.name,) if number == one.best else ()
                for trial in own:
                    trials.setdefault(trial.id, trial)
                    name = numbered(one.search.arm.name, number)
                    arms[trial.id] = (*arms.get(trial.id, ()), *best, name)
        spec = self._spec.model_dump(mode="json")
        self._workspace.save_study(self._spec.name, spec, tuple(trials.values()), arms)


def _powers(base: int, *, below: int) -> list[int]:
    """Return 1, base, base * base and so on.

    >>> _powers(3, below=10)
    [1, 3, 9]
    """
    found = [1]
    while found[-1] < below:
        found.append(found[-1] * base)
    return found[:-1]


def _has_reached(record: TrialRecord, epoch: int) -> bool:
    """Return whether the trial, which is not running, has reached the end of that epoch."""
    if record.status == "done":
        return True
    if record.costs is None or not record.evaluations:
        return False
    return record.evaluations[-1].epoch >= epoch


def _score_until(record: TrialRecord, epoch: int) -> float:
    """Return the main metric on held-out rows at the best evaluation until the end of the epoch.

    Where none was made there, those until the next one count: after it the trial has rested.
    """
    ends = [place for place, one in enumerate(record.evaluations, 1) if one.epoch >= epoch]
    best = reported(record.evaluations[: ends[0] if ends else None])
    assert best is not None
    return main_merit(best.held_out_scores)
