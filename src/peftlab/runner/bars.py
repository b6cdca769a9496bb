"""Bars on stderr: those of a run, and one for whatever else takes more than two seconds."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock, Timer
from typing import TYPE_CHECKING, Any

from peftlab.core.progress import Stage

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

REFRESHES_PER_SECOND = 4
AFTER_SECONDS = 2.0
"""The time after which a stage is shown; one that ends sooner is not."""

MOST_TRIALS = 16
"""The most trials that have bars at a time."""


def make_bars(console: Console) -> Progress:
    """Return bars, each with fields `unit` and `note`; none are drawn without a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    return Progress(
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


class TrialBars:
    """A bar for each trial that runs, as far as there is room: those that train come first.

    A trial that waits for its place in a group, or is loaded, has a bar without an end.
    """

    def __init__(self, bars: Progress, *, most: int = MOST_TRIALS) -> None:
        self._bars, self._most = bars, most
        self._trials: dict[str, dict[str, Any]] = {}
        self._tasks: dict[str, TaskID] = {}

    def start(self, trial_id: str, words: str) -> None:
        """Note that a trial was given away to be run."""
        self.remove(trial_id)
        self._trials[trial_id] = {"description": words, "total": None, "completed": 0, "note": ""}
        self._fit()

    def update(self, trial_id: str, **changes: Any) -> None:
        """Change what is shown of a trial: its `total` steps, those `completed`, the `note`."""
        has_begun = self._has_begun(trial_id)
        self._trials[trial_id].update(changes)
        if self._has_begun(trial_id) != has_begun:
            self._fit()
        if trial_id in self._tasks:
            self._bars.update(self._tasks[trial_id], **changes)

    def remove(self, trial_id: str) -> None:
        """Note that a trial runs no longer."""
        if self._trials.pop(trial_id, None) is not None:
            self._fit()

    def _has_begun(self, trial_id: str) -> bool:
        return self._trials[trial_id]["total"] is not None

    def _fit(self) -> None:
        """Show the bars that there is room for, and no others."""
        in_order = sorted(self._trials, key=lambda one: not self._has_begun(one))
        shown = in_order[: self._most]
        for trial_id in [one for one in self._tasks if one not in shown]:
            self._bars.remove_task(self._tasks.pop(trial_id))
        for trial_id in shown:
            if trial_id not in self._tasks:
                self._tasks[trial_id] = self._bars.add_task(unit="steps", **self._trials[trial_id])


class StageBars:
    """A bar for each stage that lasts, or a line without a terminal.

    They are added to `bars` that are shown already, or drawn by themselves.
    """

    def __init__(
        self,
        console: Callable[[], Console],
        *,
        bars: Progress | None = None,
        after_seconds: float | None = None,
    ) -> None:
        self._console = console
        self._after_seconds = AFTER_SECONDS if after_seconds is None else after_seconds
        self._shared, self._own = bars, bars
        self._timers: dict[Stage, Timer] = {}
        self._tasks: dict[Stage, TaskID] = {}
        self._lock = RLock()

    def began(self, stage: Stage) -> None:
        timer = Timer(self._after_seconds, self._show, [stage])
        timer.daemon = True
        self._timers[stage] = timer
        timer.start()

    def changed(self, stage: Stage) -> None:
        if stage not in self._tasks:
            return
        with self._lock:
            if stage in self._tasks and self._own is not None:
                self._own.update(
                    self._tasks[stage], completed=stage.done, total=stage.total, note=_note(stage)
                )

    def ended(self, stage: Stage) -> None:
        with self._lock:
            self._timers.pop(stage).cancel()
            task = self._tasks.pop(stage, None)
            if task is None or self._own is None:
                return
            self._own.remove_task(task)
            if self._shared is None and not self._tasks:
                self._own.stop()
                self._own = None

    def _show(self, stage: Stage) -> None:
        with self._lock:
            if stage not in self._timers:  # it has just ended
                return
            console = self._console()
            if not console.is_terminal:
                console.print(_line(stage), markup=False, highlight=False, soft_wrap=True)
                return
            if self._own is None:
                self._own = make_bars(console)
                self._own.start()
            self._tasks[stage] = self._own.add_task(
                _escaped(stage.words),
                total=stage.total,
                completed=stage.done,
                unit=stage.unit,
                note=_note(stage),
            )


def _line(stage: Stage) -> str:
    """Return the line that is printed once for a stage.

    >>> _line(Stage("encoding", total=67349, unit="rows", watcher=None))
    'encoding (67,349 rows) ...'
    """
    size = f" ({stage.total:,} {stage.unit})" if stage.total else ""
    return f"{stage.words}{size} ..."


def _note(stage: Stage) -> str:
    return _escaped(stage.note)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
