"""A failure is described by its message if that is ours, else by where it happened."""

from __future__ import annotations

from peftlab.core.errors import TrialError
from peftlab.engine.attempt import describe


def bottom() -> None:
    raise ValueError("at the bottom")


def middle() -> None:
    bottom()


def top() -> None:
    middle()


def test_our_own_error_is_its_own_description() -> None:
    assert describe(TrialError("the training loss is nan")) == "the training loss is nan"


def test_another_error_begins_with_its_kind_and_ends_with_the_last_calls() -> None:
    try:
        top()
    except ValueError as error:
        text = describe(error)
    first, *frames = text.splitlines()
    assert first == "ValueError: at the bottom"
    places = [line for line in frames if line.lstrip().startswith("File ")]
    assert [place.rpartition("in ")[2] for place in places] == ["top", "middle", "bottom"]
    assert frames[-1].strip() == 'raise ValueError("at the bottom")'


def test_an_error_that_was_never_raised_has_no_calls() -> None:
    assert describe(MemoryError("none left")) == "MemoryError: none left"
