"""The execution of a study's searches: settings asked for, trained, given up or kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from peftlab.core.interrupts import stopping_gently
from peftlab.core.trial import Trial
from peftlab.engine.devices.base import Device
from peftlab.engine.events import Listener, all_of
from peftlab.engine.grouping import shared_step
from peftlab.engine.job import Job
from peftlab.engine.registry import ENGINES
from peftlab.models.checkpoints import tokenizer_of
from peftlab.runner.execute import STOPPING
from peftlab.runner.executors.base import Executor, JobSource
from peftlab.runner.groups import may_group, most_together
from peftlab.runner.record import Recorder
from peftlab.runner.row_lengths import row_lengths
from peftlab.runner.sampler import REDUCTION, Sampler, Suggestion, opened_storage
from peftlab.store.lock import held
from peftlab.store.records import Status, TrialRecord
from peftlab.store.workspace import Workspace
from peftlab.study.tuning.attempts import Ended, SearchAttempt, attempts, numbered, spent_seconds
from peftlab.study.tuning.search import Search, Searches
from peftlab.tasks.scores import main_merit
from peftlab.tasks.selection import reported

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
    here: Device | None = None,
) -> None:
    """Search until every arm on every task has spent its budget, earlier spending included.

    `attempted` is told of each setting that has ended. `device` is the name that jobs carry, and
    `here` is the device of that name if it is on this machine.

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
            Sampler(
                search,
                storage,
                study=name,
                pruning=searches.tune.pruning,
                batch=searches.tune.batch,
            )
            for search in searches.searches
        ]
        feeder = _Feeder(searches, samplers, workspace, attempted, device, here)
        source = JobSource(
            next_job=feeder.next_job,
            device=device,
            most=searches.tune.batch * sum(len(one.templates) for one in searches.searches),
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


@dataclass(frozen=True)
class _Due:
    """A trial that is to be trained until its end, or to rest where `stop_after` says."""

    trial: Trial
    stop_after: int | None


@dataclass(kw_only=True)
class _RunningSearch:
    """A search, the settings that it tries now, and the trials of all settings that it has begun.

    Those are by the settings' numbers.
    """

    search: Search
    sampler: Sampler
    settings: list[_Setting] = field(default_factory=list)
    begun: dict[int, tuple[Trial, ...]] = field(default_factory=dict)
    best: int | None = None


class _Feeder:
    """A source of the jobs of all searches, first of the one with the fewest begun settings.

    A search tries one batch of settings at a time, whose trials may be trained beside one another
    or in one step, with those of other searches. It is decided on all settings of a batch at the
    same epoch, in the order of their numbers: what a search suggests does not depend on which of
    two trials happens to end first.
    """

    def __init__(
        self,
        searches: Searches,
        samplers: list[Sampler],
        workspace: Workspace,
        attempted: Callable[[SearchAttempt], None],
        device: str,
        here: Device | None,
    ) -> None:
        self._spec, self._tune = searches.spec, searches.tune
        self._here = here
        self._workspace, self._attempted, self._device = workspace, attempted, device
        self._prunes = searches.tune.pruning != "none" and ENGINES.get(searches.spec.engine).rests
        self._running = [
            _RunningSearch(search=search, sampler=sampler)
            for search, sampler in zip(searches.searches, samplers, strict=True)
        ]
        self._tokens_per_row: dict[str, float] = {}
        for one in self._running:
            self._recall(one)
        self._place()
        for one in self._running:
            one.best = next((found.number for found in self._attempts(one) if found.is_best), None)
        self._place()

    def next_job(self) -> Job | None:
        """Return the job of the next trials to be trained, or to be trained further.

        Several trials are a job where they may share steps, and have as far to go.
        """
        ready: dict[str, _Due] = {}
        may_share = may_group(self._spec.group, self._here)
        for one in sorted(self._running, key=lambda one: len(one.begun)):
            for due in self._ready(one):
                ready.setdefault(due.trial.id, due)
            if ready and not may_share:
                break
        if not ready:
            return None
        first, *others = ready.values()
        shared = shared_step(first.trial) if may_share else None
        if shared is None:
            return self._job([first], 1)
        alike = [
            due
            for due in others
            if due.stop_after == first.stop_after and shared_step(due.trial) == shared
        ]
        together = most_together(
            [due.trial for due in (first, *alike)],
            group=self._spec.group,
            device=self._here,
            tokens_of=self._tokens_per_batch,
        )
        return self._job([first, *alike][:together], together)

    def _ready(self, one: _RunningSearch) -> list[_Due]:
        """Return the trials of that search that are to be trained now.

        There are none while it waits for others, or if it is over.
        """
        while one.settings or not self._is_spent(one):
            settings = one.settings or self._begin(one)
            rung = min(setting.rungs[0] for setting in settings)
            records = {
                setting.suggestion.number: [
                    self._workspace.trial(trial.id) for trial in setting.trials
                ]
                for setting in settings
                if setting.rungs[0] == rung
            }
            ready = [
                _Due(record.trial, rung if rung < one.search.num_epochs(record.trial) else None)
                for own in records.values()
                if all(record.status != "failed" for record in own)
                for record in own
                if record.status != "running" and not _has_reached(record, rung)
            ]
            if ready or any(one.status == "running" for own in records.values() for one in own):
                return ready
            self._decide(one, rung, records)
        return []

    def _job(self, due: Sequence[_Due], together: int) -> Job:
        trials = tuple(one.trial for one in due)
        return Job(
            trials=trials,
            folders={trial.id: self._workspace.artifacts(trial.id) for trial in trials},
            cache=self._workspace.cache,
            device=self._device,
            checkpoint_every=self._spec.checkpoint_every,
            stop_after=due[0].stop_after,
            together=together,
        )

    def _tokens_per_batch(self, trial: Trial) -> float:
        """Return the tokens of the trial's batches in the mean."""
        if trial.task not in self._tokens_per_row:
            lengths = row_lengths(trial, tokenizer_of(trial.model.name), self._workspace).train
            self._tokens_per_row[trial.task] = float(lengths.mean())
        return self._tokens_per_row[trial.task] * trial.training.per_device_train_batch_size

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
        one.begun = {found.number: own for found, own in zip(ended, trials, strict=True)}

    def _is_spent(self, one: _RunningSearch) -> bool:
        budget = self._tune.budget
        if budget.trials is not None:
            return len(one.begun) >= budget.trials
        assert budget.seconds is not None
        if one.sampler.has_begun:  # when there were seconds left
            return False
        ids = {trial.id for trials in one.begun.values() for trial in trials}
        spent = sum(spent_seconds(self._workspace.trial(trial_id)) for trial_id in ids)
        return spent >= budget.seconds

    def _begin(self, one: _RunningSearch) -> list[_Setting]:
        """Begin the next batch, or take up the one that was begun; return its settings."""
        for suggestion in one.sampler.next_batch(self._tune.budget.trials):
            trials = one.search.trials(suggestion.setting)
            last = one.search.num_epochs(trials[0])
            pauses = _powers(REDUCTION, below=last) if self._prunes else []
            one.begun[suggestion.number] = trials
            one.settings.append(
                _Setting(suggestion=suggestion, trials=trials, rungs=[*pauses, last])
            )
        self._place()
        return one.settings

    def _decide(
        self, one: _RunningSearch, rung: int, records: Mapping[int, Sequence[TrialRecord]]
    ) -> None:
        """End settings or let them continue: their seeds have come to the rung, or one has failed.

        The records of their trials are given by the numbers of the settings.
        """
        scores = {
            number: float(np.mean([_score_until(record, rung) for record in own]))
            for number, own in records.items()
            if all(record.status != "failed" for record in own)
        }
        due = [setting for setting in one.settings if setting.suggestion.number in records]
        going = {
            setting.suggestion.number: scores[setting.suggestion.number]
            for setting in due
            if setting.suggestion.number in scores and len(setting.rungs) > 1
        }
        given_up = one.sampler.given_up(rung, going) if going else set()
        for setting in due:
            number = setting.suggestion.number
            if number not in scores:
                self._end(one, setting, "failed")
            elif number in given_up:
                for record in records[number]:
                    if record.status != "done":
                        self._workspace.prune(record.trial.id)
                self._end(one, setting, "pruned")
            elif number in going:
                setting.rungs = setting.rungs[1:]
            else:
                self._end(one, setting, "done", scores[number])

    def _end(
        self, one: _RunningSearch, setting: _Setting, status: Ended, score: float | None = None
    ) -> None:
        one.sampler.end(setting.suggestion, status, score)
        one.settings.remove(setting)
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
    ends = [number for number, one in enumerate(record.evaluations, 1) if one.epoch >= epoch]
    best = reported(record.evaluations[: ends[0] if ends else None])
    assert best is not None
    return main_merit(best.held_out_scores)
