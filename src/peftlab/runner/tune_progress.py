"""What a person sees while `peftlab tune` searches: each setting that ends, what trains now."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import TaskID

from peftlab.core.errors import first_line
from peftlab.core.measurements import EpochRecord
from peftlab.core.progress import watched_by
from peftlab.core.trial import Trial
from peftlab.core.words import duration
from peftlab.engine.run import Outcome
from peftlab.runner.bars import StageBars, make_bars
from peftlab.study.tuning.attempts import Attempt, setting_words
from peftlab.study.tuning.search import Searches


class TuneDisplay:
    """A live display on a terminal; elsewhere a line for each setting that ends."""

    def __init__(self, searches: Searches, console: Console) -> None:
        self._console, self._budget = console, searches.tune.budget
        self._bars = make_bars(console)
        self._watching = watched_by(StageBars(lambda: console, bars=self._bars))
        self._of_search = {
            (one.arm.name, one.task): self._bars.add_task(
                one.name, total=self._budget.trials or self._budget.seconds,
                unit="settings" if self._budget.trials else "seconds", note="",
            )
            for one in searches.searches
        }  # fmt: skip
        self._running: dict[str, TaskID] = {}

    def __enter__(self) -> TuneDisplay:
        self._bars.start()
        self._watching.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._watching.__exit__(None, None, None)
        self._bars.stop()

    def attempted(self, attempt: Attempt) -> None:
        best = "no setting is done yet"
        if attempt.best_held_out is not None:
            best = f"best {attempt.best_held_out:.1f}"
        budget = f"{attempt.number + 1}/{self._budget.trials}"
        if self._budget.trials is None:
            budget = f"{duration(attempt.seconds)} of {duration(self._budget.seconds or 0.0)}"
        scored = "" if attempt.held_out is None else f" at {attempt.held_out:.1f} on held-out rows"
        self.remarked(
            f"[{budget}] {attempt.arm} on {attempt.task}, {setting_words(attempt.setting)}: "
            f"{attempt.status}{scored}, {best}"
        )
        spent = attempt.number + 1 if self._budget.trials else int(attempt.seconds)
        bar = self._of_search[attempt.arm, attempt.task]
        self._bars.update(bar, completed=spent, note=best)

    def started(self, trial: Trial) -> None:
        self._leave(trial)
        self._running[trial.id] = self._bars.add_task(
            f"  {trial.method} on {trial.task}, seed {trial.seed}",
            total=None,
            unit="steps",
            note="",
        )

    def began(self, trial: Trial, total_steps: int, total_epochs: int) -> None:
        self._bars.update(self._running[trial.id], total=total_steps, completed=0)

    def resumed(self, trial: Trial, step: int, epochs: Sequence[EpochRecord]) -> None:
        self._bars.update(self._running[trial.id], completed=step)

    def stepped(self, trial: Trial, step: int, loss: float) -> None:
        self._bars.update(self._running[trial.id], completed=step, note=f"loss {loss:.3f}")

    def ended_epoch(self, trial: Trial, record: EpochRecord) -> None:
        """Nothing: a setting is told of when it ends."""

    def finished(self, trial: Trial, outcome: Outcome) -> None:
        self._leave(trial)

    def failed(self, trial: Trial, error: str) -> None:
        self._leave(trial)
        self.remarked(f"{trial.id} on {trial.task}, seed {trial.seed}: {first_line(error)}")

    def interrupted(self, trial: Trial) -> None:
        self._leave(trial)

    def remarked(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _leave(self, trial: Trial) -> None:
        bar = self._running.pop(trial.id, None)
        if bar is not None:
            self._bars.remove_task(bar)
