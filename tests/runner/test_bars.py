"""A stage that lasts is shown by a bar, or by a line without a terminal."""

from __future__ import annotations

import io
from threading import Event

from rich.console import Console

from peftlab.core.progress import stage, watched_by
from peftlab.runner.bars import StageBars, TrialBars, make_bars

LONG = 60.0
"""A number of seconds that no test takes."""


class Screen(io.StringIO):
    """A screen whose content can be read and waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.written = Event()

    def write(self, text: str) -> int:
        number = super().write(text)
        self.written.set()
        return number


def console(screen: Screen, *, terminal: bool) -> Console:
    return Console(file=screen, force_terminal=terminal, width=100, color_system=None)


def test_what_ends_soon_is_not_shown() -> None:
    screen = Screen()
    with watched_by(StageBars(lambda: console(screen, terminal=True), after_seconds=LONG)):
        for _ in range(3):
            with stage("encoding", total=2, unit="rows") as encoding:
                encoding.advance(2)
    assert screen.getvalue() == ""


def test_without_a_terminal_what_lasts_is_a_line() -> None:
    screen = Screen()
    with (
        watched_by(StageBars(lambda: console(screen, terminal=False), after_seconds=0.01)),
        stage("encoding [sst2]", total=67349, unit="rows") as encoding,
    ):
        assert screen.written.wait(LONG)
        encoding.advance(8192)
    assert screen.getvalue() == "encoding [sst2] (67,349 rows) ...\n"


def test_on_a_terminal_what_lasts_is_a_bar_that_goes_when_it_ends() -> None:
    screen = Screen()
    bars = StageBars(lambda: console(screen, terminal=True), after_seconds=0.01)
    with watched_by(bars), stage("downloading [x]", total=440, unit="MB") as downloading:
        assert screen.written.wait(LONG)
        downloading.reach(220, 440)
        downloading.say("[weights]")
        assert bars._own is not None
        bars._own.refresh()
    shown = screen.getvalue()
    assert "downloading [x]" in shown
    assert "220/440 MB [weights]" in shown
    assert bars._own is None
    assert not bars._tasks
    assert not bars._timers


def test_where_bars_are_shown_already_a_stage_is_one_of_them() -> None:
    screen = Screen()
    shared = make_bars(console(screen, terminal=True))
    shown = Event()
    bars = StageBars(lambda: shared.console, bars=shared, after_seconds=0.01)
    add_task = shared.add_task

    def noticed(*arguments: object, **fields: object) -> object:
        task = add_task(*arguments, **fields)  # type: ignore[arg-type]
        shown.set()
        return task

    shared.add_task = noticed  # type: ignore[method-assign,assignment]
    with shared, watched_by(bars):
        with stage("encoding", total=3, unit="rows") as encoding:
            assert shown.wait(LONG)
            encoding.advance()
            shared.refresh()
        assert shared.tasks == []
        assert shared.live.is_started
    assert "encoding" in screen.getvalue()


def test_as_many_trials_have_bars_as_there_is_room_for_and_those_that_train_first() -> None:
    shared = make_bars(console(Screen(), terminal=True))
    bars = TrialBars(shared, most=2)

    def shown() -> list[tuple[str, float | None, float]]:
        return [(task.description, task.total, task.completed) for task in shared.tasks]

    for name in ("a", "b", "c", "d"):
        bars.start(name, f"trial {name}")
    assert shown() == [("trial a", None, 0), ("trial b", None, 0)]
    bars.update("c", total=4, completed=1)
    bars.update("d", total=4, completed=0)
    assert shown() == [("trial c", 4, 1), ("trial d", 4, 0)]
    bars.update("a", total=4, completed=0)
    bars.update("a", completed=3)
    assert {name for name, _, _ in shown()} == {"trial a", "trial c"}, "that were given away first"
    bars.remove("c")
    assert shown() == [("trial a", 4, 3), ("trial d", 4, 0)]
    bars.remove("a")
    bars.remove("a")
    assert [name for name, _, _ in shown()] == ["trial d", "trial b"]
