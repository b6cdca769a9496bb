"""Every error is one line: where it is, what is wrong, what is allowed."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peftlab.core.errors import (
    PeftlabError,
    TrialError,
    UnknownNameError,
    UserError,
    first_line,
    one_line,
)


@pytest.mark.parametrize(
    ("where", "allowed", "remedy", "expected"),
    [
        ("", "", "", "no rows"),
        ("a.tsv:3", "", "", "a.tsv:3: no rows"),
        ("", "some", "", "no rows (allowed: some)"),
        ("", "", "another file", "no rows (try: another file)"),
        ("a.tsv:3", "some", "x", "a.tsv:3: no rows (allowed: some) (try: x)"),
    ],
)
def test_an_error_says_where_what_what_is_allowed_and_what_to_try(
    where: str, allowed: str, remedy: str, expected: str
) -> None:
    error = UserError("no rows", where=where, allowed=allowed, remedy=remedy)
    assert str(error) == expected
    found = (error.what, error.where, error.allowed, error.remedy)
    assert found == ("no rows", where, allowed, remedy)


@settings(max_examples=100, deadline=None)
@given(st.text(), st.text(), st.text())
def test_an_error_is_one_line_whatever_it_is_made_of(what: str, where: str, allowed: str) -> None:
    assert len(str(UserError(what, where=where, allowed=allowed)).splitlines()) <= 1


def test_an_unknown_name_comes_with_the_nearest_and_all_known_ones_sorted() -> None:
    error = UnknownNameError("task", "colla", ["sst2", "mrpc", "cola"], where="tasks[0]")
    assert str(error) == (
        "tasks[0]: unknown task 'colla', did you mean 'cola'? (allowed: cola, mrpc, sst2)"
    )


def test_a_name_that_is_near_to_none_gets_no_hint() -> None:
    assert str(UnknownNameError("task", "xyz", ["sst2"])) == "unknown task 'xyz' (allowed: sst2)"


def test_a_users_mistake_and_a_failed_trial_are_told_apart() -> None:
    assert issubclass(UnknownNameError, UserError)
    assert issubclass(UserError, PeftlabError)
    assert issubclass(TrialError, PeftlabError)
    assert not issubclass(TrialError, UserError)


@pytest.mark.parametrize(
    "error",
    [
        UnknownNameError("task", "colla", ["sst2", "cola"], where="tasks[0]"),
        UserError("no rows", where="a.tsv:3", allowed="some"),
        TrialError("the training has diverged"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_the_same_in_another_process(error: PeftlabError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


@pytest.mark.parametrize(
    ("cause", "line"),
    [("nan\nat step 3", "nan"), ("", "no cause is known"), (None, "no cause is known")],
)
def test_a_cause_is_told_by_its_first_line_or_as_unknown(cause: str | None, line: str) -> None:
    assert first_line(cause) == line


@given(st.text(), st.integers(2, 40))
def test_a_line_is_short_and_does_nothing_to_a_terminal(text: str, length: int) -> None:
    line = one_line(text, length=length)
    assert line.isprintable()
    # A sign that is not printed takes ten at most.
    assert len(line) <= 10 * (length + 5)


def test_a_plain_text_is_shown_as_it_is_and_a_long_one_loses_its_middle() -> None:
    assert one_line("naïve — 猫 'x'") == "naïve — 猫 'x'"
    assert one_line("ab" * 10, length=6) == "aba ... bab"
    assert str(UserError("a\x1b[2J", where="b\0c")) == "b\\x00c: a\\x1b[2J"
    assert len(str(UnknownNameError("key", "k" * 10**6, ["a"]))) < 300
