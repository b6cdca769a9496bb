"""Trackers that follow trials, whatever executor runs them: a run for each trial in each
tracker."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from peftlab.core.errors import first_line
from peftlab.core.measurements import Costs, Evaluation
from peftlab.core.trial import Trial
from peftlab.engine.events import (
    Evaluated,
    Event,
    Failed,
    Finished,
    Interrupted,
    Listener,
    Paused,
    Remarked,
    Resumed,
    Started,
)
from peftlab.runner.tracker_run import Card, RunStatus, StepValues, TrackerRun
from peftlab.runner.trackers import LIVE, open_run

FOLDER = "tracking"
MOST_FAILURES = 3
"""The failed trials in a row after which a tracker is left alone until the next run."""


@dataclass
class _Tracked:
    """A trial's run in a tracker, and the values not yet written to it."""

    tracker: str
    card: Card
    run: TrackerRun | None = None
    waiting: list[StepValues] = field(default_factory=list)

    def write(self) -> None:
        """Write the waiting values."""
        if self.waiting:
            self.run = self.run or open_run(self.tracker, self.card)
            self.run.write(self.waiting)
            self.waiting = []

    def close(self, end: RunStatus) -> None:
        """Write the rest and close the run; a trial that goes on later is told whole then."""
        if end == "interrupted" and self.tracker not in LIVE:
            return
        self.write()
        if self.run is not None:
            self.run.close(end)


@dataclass
class _Trial:
    """A trial that runs: its runs, and the step of its last evaluation."""

    runs: list[_Tracked]
    step: int = 0


class Tracking:
    """A listener that tells the trackers.

    An evaluation is written when it is made, with the losses of the steps since the one before, to
    the trackers of LIVE; to the others a whole trial when it has ended. A trial that is begun again
    or resumed gets a new run, to which its earlier evaluations are told again. What a tracker
    raises becomes a remark to `display`, and the trial goes on without it.
    """

    def __init__(
        self,
        display: Listener,
        *,
        study: str,
        trackers: Sequence[str],
        arms_of: Mapping[str, tuple[str, ...]],
        workspace: Path,
    ) -> None:
        self._display, self._study, self._trackers = display, study, trackers
        self._arms_of, self._folder = arms_of, workspace / FOLDER
        self._trials: dict[str, _Trial] = {}
        self._failures: Counter[str] = Counter()

    def __call__(self, event: Event) -> None:
        """Tell the trackers of the event."""
        match event:
            case Started(trial=trial):
                self._begin(trial)
            case Resumed(trial_id=trial_id, evaluations=evaluations):
                self._add(trial_id, evaluations)
            case Evaluated(trial_id=trial_id, evaluation=evaluation):
                self._add(trial_id, [evaluation])
            case Finished(trial_id=trial_id, costs=costs) | Paused(trial_id=trial_id, costs=costs):
                known = self._trials.get(trial_id)
                if known is not None:
                    row = StepValues(step=known.step, values=values_of_costs(costs))
                    for tracked in known.runs:
                        tracked.waiting.append(row)
                self._end(trial_id, "finished")
            case Failed(trial_id=trial_id):
                self._end(trial_id, "failed")
            case Interrupted(trial_id=trial_id):
                self._end(trial_id, "interrupted")

    def _begin(self, trial: Trial) -> None:
        self._end(trial.id, "interrupted")  # where it is tried again
        card = Card(
            study=self._study,
            name=run_name(trial, self._arms_of.get(trial.id, (trial.method,))),
            trial=trial,
            folder=self._folder,
        )
        self._trials[trial.id] = _Trial(
            [
                _Tracked(tracker, card)
                for tracker in self._trackers
                if self._failures[tracker] < MOST_FAILURES
            ]
        )

    def _add(self, trial_id: str, evaluations: Sequence[Evaluation]) -> None:
        """Tell the trackers of evaluations."""
        known = self._trials[trial_id]
        rows = []
        for evaluation in evaluations:
            rows += rows_of(evaluation, after=known.step)
            known.step = evaluation.step
        for tracked in [*known.runs]:
            tracked.waiting += rows
            if tracked.tracker in LIVE:
                self._try(trial_id, tracked, tracked.write)

    def _end(self, trial_id: str, end: RunStatus) -> None:
        """Close the runs of the trial, which runs no longer."""
        known = self._trials.get(trial_id)
        for tracked in [] if known is None else [*known.runs]:
            if self._try(trial_id, tracked, partial(tracked.close, end)):
                self._failures[tracked.tracker] = 0
        self._trials.pop(trial_id, None)

    def _try(self, trial_id: str, tracked: _Tracked, act: Callable[[], None]) -> bool:
        """Call the tracker; if it fails, print a remark and stop tracking the trial by it."""
        try:
            with redirect_stdout(sys.stderr):  # some print, and --json has it to itself
                act()
        except Exception as error:
            self._trials[trial_id].runs.remove(tracked)
            if tracked.run is not None:
                with suppress(Exception), redirect_stdout(sys.stderr):  # it has failed already
                    tracked.run.close("failed")
            self._failures[tracked.tracker] += 1
            is_last = self._failures[tracked.tracker] == MOST_FAILURES
            whose = "this run" if is_last else f"trial {trial_id}"
            cause = first_line(error)
            self._display(
                Remarked(
                    trial_id=trial_id,
                    text=f"the tracker {tracked.tracker} failed, {whose} goes on without it: "
                    f"{type(error).__name__}: {cause}",
                )
            )
            return False
        return True


def run_name(trial: Trial, arms: Sequence[str]) -> str:
    """Return the name of a trial's run, which is also a folder's name.

    >>> from types import SimpleNamespace as Trial
    >>> trial = Trial(id="88c683afda1e", task="cola", seed=42, fold=None, train_size=100)
    >>> run_name(trial, ["lora-r8"])
    'lora-r8-cola-seed42-rows100-88c683'
    """
    fold = f"-fold{trial.fold.number}" if trial.fold else ""
    rows = f"-rows{trial.train_size}" if trial.train_size else ""
    return f"{'+'.join(arms)[:100]}-{trial.task}-seed{trial.seed}{fold}{rows}-{trial.id[:6]}"


def rows_of(evaluation: Evaluation, *, after: int) -> list[StepValues]:
    """Return the losses since the last evaluation, by step, and at its step this one's values.

    `after` is the step of the evaluation before. Where there are several losses a step (the
    engine `trainer` of older versions with gradient_accumulation_steps) their mean stands for them.
    """
    values = {
        "epoch": evaluation.epoch,
        "eval_loss": evaluation.eval_loss,
        "seconds": evaluation.seconds,
        **{f"eval_{metric}": score for metric, score in evaluation.scores.items()},
    }
    if evaluation.train_loss is not None:
        values["train_loss"] = evaluation.train_loss
    losses = evaluation.step_losses
    num_steps = max(1, evaluation.step - after)
    a_step = -(-len(losses) // num_steps) or 1
    rows = [
        StepValues(
            step=after + 1 + start // a_step,
            values={"step_loss": float(np.mean(losses[start : start + a_step]))},
        )
        for start in range(0, len(losses), a_step)
    ]
    last = rows.pop().values if rows else {}
    return [*rows, StepValues(step=evaluation.step, values={**last, **values})]


def values_of_costs(costs: Costs) -> dict[str, float]:
    """Return the known costs that are numbers, as cost_NAME."""
    values = {**asdict(costs), **asdict(costs.parameters)}
    return {
        f"cost_{name}": float(value)
        for name, value in values.items()
        if isinstance(value, int | float)
    }
