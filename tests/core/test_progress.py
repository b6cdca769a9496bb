"""Stages are told to the watcher of their context, and to nobody if there is none."""

from __future__ import annotations

from threading import Thread

import pytest

from peftlab.core.progress import Stage, stage, watched_by


class Heard:
    """The messages that were told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, int, int | None, str]] = []

    def _hear(self, event: str, told: Stage) -> None:
        self.told.append((event, told.words, told.done, told.total, told.note))

    def began(self, stage: Stage) -> None:
        self._hear("began", stage)

    def changed(self, stage: Stage) -> None:
        self._hear("changed", stage)

    def ended(self, stage: Stage) -> None:
        self._hear("ended", stage)


def test_a_stage_tells_when_it_begins_how_far_it_is_and_when_it_ends() -> None:
    heard = Heard()
    with watched_by(heard), stage("reading", total=9, unit="rows") as reading:
        reading.advance(4)
        reading.say("the second file")
        reading.reach(9, 9)
    assert heard.told == [
        ("began", "reading", 0, 9, ""),
        ("changed", "reading", 4, 9, ""),
        ("changed", "reading", 4, 9, "the second file"),
        ("changed", "reading", 9, 9, "the second file"),
        ("ended", "reading", 9, 9, "the second file"),
    ]


def test_a_stage_that_fails_has_ended() -> None:
    heard = Heard()
    with pytest.raises(ValueError), watched_by(heard), stage("reading"):
        raise ValueError
    assert [event for event, *_ in heard.told] == ["began", "ended"]


def test_the_inner_watcher_is_told_and_afterwards_the_outer_one_again() -> None:
    outer, inner = Heard(), Heard()
    with watched_by(outer):
        with watched_by(inner), stage("one"):
            pass
        with stage("two"):
            pass
    assert [words for _, words, *_ in inner.told] == ["one", "one"]
    assert [words for _, words, *_ in outer.told] == ["two", "two"]


def test_nobody_need_watch_and_another_thread_is_not_watched() -> None:
    heard = Heard()

    def work() -> None:
        with stage("elsewhere") as working:
            working.advance()

    work()
    with watched_by(heard):
        thread = Thread(target=work)
        thread.start()
        thread.join()
    assert heard.told == []
