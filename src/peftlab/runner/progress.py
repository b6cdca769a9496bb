"""What a person sees while a study runs: study, trial, epoch and the time left, on stderr."""

from __future__ import annotations

from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from peftlab.core.durations import duration
from peftlab.core.errors import first_line
from peftlab.core.types import EpochRecord, Trial
from peftlab.engine.run import Outcome
from peftlab.runner.plan import Plan, TrialPlan

REFRESHES_PER_SECOND = 4


class Clock:
    """How much longer a study takes: the plan's estimates, scaled by how true they have been."""

    def __init__(self, plans: dict[str, TrialPlan]) -> None:
        self._open = {key: plan.seconds or 0.0 for key, plan in plans.items()}
        self._spent_seconds = 0.0
        self._expected_seconds = 0.0

    def ended(self, trial_id: str, seconds: float) -> None:
        """A trial has ended after so many seconds."""
        self._expected_seconds += self._open.pop(trial_id, 0.0)
        self._spent_seconds += seconds

    def seconds_left(self, trial_id: str | None, share: float, seconds: float) -> float | None:
        """For all open trials, one of which has done `share` of its steps in `seconds`."""
        expected, spent = self._expected_seconds, self._spent_seconds
        if trial_id in self._open:
            expected += share * self._open[trial_id]
            spent += seconds
        total = sum(self._open.values())
        if not total:
            return None
        done = share * self._open.get(trial_id or "", 0.0)
        return (total - done) * (spent / expected if expected else 1.0)


class ProgressDisplay:
    """A live display on a terminal; elsewhere a line for each trial that ends."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self.console = console
        self.plans = {trial.trial.id: trial for trial in plan.open_trials}
        self.clock = Clock(self.plans)
        self.num_open = len(self.plans)
        self.num_ended = 0
        self.began_at = perf_counter()
        self.steps = 1
        self.epochs = 1
        self.epoch = 0
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TextColumn("[dim]{task.fields[note]}"),
            console=console,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
            disable=not console.is_terminal,
        )
        self.study_bar = self.bars.add_task(
            f"study {plan.study}", total=self.num_open, unit="trials", note=""
        )
        self.trial_bar: TaskID | None = None

    def __enter__(self) -> ProgressDisplay:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def started(self, trial: Trial) -> None:
        self.began_at = perf_counter()
        self.epoch, self.steps = 0, 1
        if self.trial_bar is not None:
            self.bars.remove_task(self.trial_bar)
        self.trial_bar = self.bars.add_task(self._name(trial), total=None, unit="steps", note="")

    def began(self, trial: Trial, total_steps: int, total_epochs: int) -> None:
        self.steps, self.epochs = total_steps, total_epochs
        self._update(total=total_steps, completed=0, note=f"epoch 0 of {total_epochs}")

    def stepped(self, trial: Trial, step: int, loss: float) -> None:
        now = min(self.epoch + 1, self.epochs)
        self._update(completed=step, note=f"epoch {now} of {self.epochs}, loss {loss:.3f}")
        self._show_time_left(trial, step / self.steps)

    def ended_epoch(self, trial: Trial, record: EpochRecord) -> None:
        self.epoch = record.epoch

    def finished(self, trial: Trial, outcome: Outcome) -> None:
        seconds = perf_counter() - self.began_at
        self._ended(trial, seconds, f"done in {duration(seconds)}")

    def failed(self, trial: Trial, error: str) -> None:
        self._ended(trial, perf_counter() - self.began_at, f"failed: {first_line(error)}")

    def interrupted(self, trial: Trial) -> None:
        self.console.print(
            f"{self._name(trial)} stopped; it begins again with the next run",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    def _ended(self, trial: Trial, seconds: float, words: str) -> None:
        self.num_ended += 1
        self.clock.ended(trial.id, seconds)
        left = self.clock.seconds_left(None, 0.0, 0.0)
        rest = f", {duration(left)} left" if left else ""
        self.bars.update(self.study_bar, completed=self.num_ended, note=rest.removeprefix(", "))
        self.console.print(
            f"[{self.num_ended}/{self.num_open}] {self._name(trial)}: {words}{rest}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    def _show_time_left(self, trial: Trial, share: float) -> None:
        left = self.clock.seconds_left(trial.id, share, perf_counter() - self.began_at)
        if left is not None:
            self.bars.update(self.study_bar, note=f"{duration(left)} left")

    def _update(self, **fields: object) -> None:
        if self.trial_bar is not None:
            self.bars.update(self.trial_bar, **fields)  # type: ignore[arg-type]

    def _name(self, trial: Trial) -> str:
        plan = self.plans.get(trial.id)
        arms = "/".join(plan.arms) if plan else trial.method
        return f"{arms} on {trial.task}, seed {trial.seed}"
