"""The display while `peftlab tune` searches: each setting that ends, what trains now."""

from __future__ import annotations

from rich.console import Console

from peftlab.core.errors import first_line
from peftlab.core.progress import watched_by
from peftlab.core.words import duration
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
from peftlab.study.tuning.attempts import SearchAttempt, setting_words
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
        self._trial_bars = TrialBars(self._bars)
        self._names: dict[str, str] = {}

    def __enter__(self) -> TuneDisplay:
        self._bars.start()
        self._watching.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._watching.__exit__(None, None, None)
        self._bars.stop()

    def attempted(self, attempt: SearchAttempt) -> None:
        """Show that a setting has ended."""
        best = "no setting is done yet"
        if attempt.best_held_out is not None:
            best = f"best {attempt.best_held_out:.1f}"
        budget = f"{attempt.number + 1}/{self._budget.trials}"
        if self._budget.trials is None:
            budget = f"{duration(attempt.seconds)} of {duration(self._budget.seconds or 0.0)}"
        scored = "" if attempt.held_out is None else f" at {attempt.held_out:.1f} on held-out rows"
        self._say(
            f"[{budget}] {attempt.arm} on {attempt.task}, {setting_words(attempt.setting)}: "
            f"{attempt.status}{scored}, {best}"
        )
        spent = attempt.number + 1 if self._budget.trials else int(attempt.seconds)
        bar = self._of_search[attempt.arm, attempt.task]
        self._bars.update(bar, completed=spent, note=best)

    def __call__(self, event: Event) -> None:
        """Show the event; `attempted` shows how a setting ended."""
        match event:
            case Started(trial=trial):
                self._names[trial.id] = f"{trial.id} on {trial.task}, {trial.run_words}"
                words = f"  {trial.method} on {trial.task}, {trial.run_words}"
                self._trial_bars.start(trial.id, words)
            case Began(trial_id=trial_id, total_steps=steps):
                self._trial_bars.update(trial_id, total=steps, completed=0)
            case Resumed(trial_id=trial_id, step=step):
                self._trial_bars.update(trial_id, completed=step)
            case Stepped(trial_id=trial_id, step=step, loss=loss):
                self._trial_bars.update(trial_id, completed=step, note=f"loss {loss:.3f}")
            case Failed(trial_id=trial_id, error=error):
                self._trial_bars.remove(trial_id)
                self._say(f"{self._names[trial_id]}: {first_line(error)}")
            case Finished() | Paused() | Interrupted():
                self._trial_bars.remove(event.trial_id)
            case Remarked(text=text):
                self._say(text)

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
