"""The display while a study runs: study, trial, epoch and the time left, on stderr."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

from rich.console import Console

from peftlab.core.errors import first_line
from peftlab.core.progress import watched_by
from peftlab.core.trial import Trial
from peftlab.core.words import counted, duration
from peftlab.engine.events import (
    Began,
    Event,
    Failed,
    Finished,
    Interrupted,
    Paused,
    Remarked,
    Resumed,
    Started,
    Stepped,
)
from peftlab.runner.bars import StageBars, TrialBars, make_bars
from peftlab.runner.cost import TimeLeft
from peftlab.runner.plan import Plan


@dataclass
class _RunningTrial:
    """A trial that was given away to be run; it trains, or is evaluated, once it `has_begun`.

    `since` is the time of that, and until then the time at which it was given away.
    """

    since: float
    has_begun: bool = False
    step: int = 0
    steps: int = 1
    steps_per_epoch: int = 1

    @property
    def share_and_seconds(self) -> tuple[float, float]:
        return self.step / self.steps, perf_counter() - self.since

    @property
    def epoch(self) -> str:
        """The epoch of the last step in words; 0 before the first one."""
        epoch, epochs = (-(-one // self.steps_per_epoch) for one in (self.step, self.steps))
        return f"epoch {epoch} of {epochs}"


class ProgressDisplay:
    """A live display on a terminal; elsewhere a line for each trial that ends."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self.console = console
        self.plans = {trial.trial.id: trial for trial in plan.open_trials}
        self._clocks = {
            in_group: TimeLeft(
                {
                    key: one.expected_seconds or 0.0
                    for key, one in self.plans.items()
                    if self._in_group(key) == in_group
                }
            )
            for in_group in (False, True)
        }
        self.num_open = len(self.plans)
        self.num_ended = 0
        self.began_at = perf_counter()
        self.running: dict[str, _RunningTrial] = {}
        self._names: dict[str, str] = {}
        self.bars = make_bars(console)
        self._trial_bars = TrialBars(self.bars)
        self._watching = watched_by(StageBars(lambda: console, bars=self.bars))
        self.study_bar = self.bars.add_task(
            f"study {plan.study}", total=self.num_open, unit="trials", note=""
        )

    def __enter__(self) -> ProgressDisplay:
        self.bars.start()
        self._watching.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._watching.__exit__(None, None, None)
        self.bars.stop()

    def __call__(self, event: Event) -> None:
        """Show the event."""
        match event:
            case Started(trial=trial):
                self._leave(trial.id)  # where it is tried again
                self._names[trial.id] = self._name(trial)
                self._trial_bars.start(trial.id, self._names[trial.id])
                self.running[trial.id] = _RunningTrial(perf_counter())
            case Began(trial_id=trial_id, total_steps=steps, steps_per_epoch=of_epoch):
                running = self.running[trial_id]
                running.steps, running.steps_per_epoch = steps, of_epoch
                running.since, running.has_begun = perf_counter(), True
                self._trial_bars.update(trial_id, total=steps, completed=0, note=running.epoch)
            case Resumed(trial_id=trial_id, step=step):
                running = self.running[trial_id]
                running.step = step
                note = f"resumed after step {step}"
                self._trial_bars.update(trial_id, completed=step, note=note)
            case Stepped(trial_id=trial_id, step=step, loss=loss):
                running = self.running[trial_id]
                running.step = step
                note = f"{running.epoch}, loss {loss:.3f}"
                self._trial_bars.update(trial_id, completed=step, note=note)
                self._show_whole()
            case Finished(trial_id=trial_id) | Paused(trial_id=trial_id):
                seconds = self._leave(trial_id)
                self._ended(trial_id, seconds, f"done in {duration(seconds)}")
            case Failed(trial_id=trial_id, error=error):
                self._ended(trial_id, self._leave(trial_id), f"failed: {first_line(error)}")
            case Interrupted(trial_id=trial_id):
                self._leave(trial_id)
                name = self._names.get(trial_id, trial_id)
                self._say(f"{name} stopped; it goes on with the next run")
            case Remarked(text=text):
                self._say(text)

    def _ended(self, trial_id: str, seconds: float, words: str) -> None:
        self.num_ended += 1
        self._clocks[self._in_group(trial_id)].ended(trial_id, seconds)
        left = self._show_whole()
        rest = f", {duration(left)} left" if left else ""
        self._say(f"[{self.num_ended}/{self.num_open}] {self._names[trial_id]}: {words}{rest}")

    def _leave(self, trial_id: str) -> float:
        """Note that the trial runs no longer; return how long it has run."""
        self._trial_bars.remove(trial_id)
        running = self.running.pop(trial_id, None)
        return 0.0 if running is None else perf_counter() - running.since

    def _show_whole(self) -> float | None:
        """Show the study's progress, in trials done and trials an hour; return the seconds left."""
        training = {key: running for key, running in self.running.items() if running.has_begun}
        left = self._seconds_left(training)
        words = [f"{len(training)} at once"] if len(training) > 1 else []
        seconds = perf_counter() - self.began_at
        if self.num_ended and seconds > 0:
            per_hour = 3600 * self.num_ended / seconds
            words.append(f"{counted(round(per_hour), 'trial')} an hour")
        if left is not None:
            words.append(f"{duration(left)} left")
        self.bars.update(self.study_bar, completed=self.num_ended, note=", ".join(words))
        return left

    def _seconds_left(self, training: Mapping[str, _RunningTrial]) -> float | None:
        """Return the seconds left; None if there is no estimate.

        A member of a group takes longer than alone, so that its time says nothing of other trials.
        """
        found = [
            clock.seconds(
                {
                    key: one.share_and_seconds
                    for key, one in training.items()
                    if self._in_group(key) == in_group
                }
            )
            for in_group, clock in self._clocks.items()
        ]
        known = [seconds for seconds in found if seconds is not None]
        return sum(known) if known else None

    def _in_group(self, trial_id: str) -> bool:
        plan = self.plans.get(trial_id)
        return plan is not None and plan.group is not None

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _name(self, trial: Trial) -> str:
        plan = self.plans.get(trial.id)
        arms = "/".join(plan.arms) if plan else trial.method
        return f"{arms} on {trial.task}, {trial.run_words}"
