"""A look is stored once, found by the trials that it showed, and keeps its first date."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from peftlab.core.errors import UserError
from peftlab.store.looks import (
    DeclaredAdvice,
    DeclaredClaim,
    DeclaredPlace,
    Look,
    joined,
    subject_of,
    united,
)
from peftlab.store.workspace import DATABASE, Workspace

CLAIM = DeclaredClaim(subject="s", margin=1.5)


def day(number: int) -> datetime:
    return datetime(2026, 11, number, 12, tzinfo=UTC)


def look(
    places: Mapping[str, Iterable[str]],
    shown: Mapping[str, int],
    *,
    study: str = "study",
    claims: Iterable[DeclaredClaim] = (CLAIM,),
) -> Look:
    """Return a look at trials by cell and day; a trial's last letter is its seed."""
    return Look(
        study=study,
        places=tuple(
            DeclaredPlace(cell=cell, trials={one: int(one[-1]) for one in trials})
            for cell, trials in places.items()
        ),
        claims=frozenset(claims),
        shown={trial: day(number) for trial, number in shown.items()},
    )


FIRST = look({"a": ["a1", "a2"], "b": ["b1", "b2"]}, {"a1": 1, "b1": 1})


def test_what_is_read_is_what_was_stored(workspace: Workspace) -> None:
    workspace.add_looks([FIRST])
    (found,) = workspace.looks(["a1", "b1", "other"])
    assert (found.id, found.study, found.claims) == (FIRST.id, FIRST.study, FIRST.claims)
    assert {one.cell: one.trials for one in found.places} == {
        "a": {"a1": 1, "a2": 2},
        "b": {"b1": 1, "b2": 2},
    }
    assert found.shown == FIRST.shown


def test_the_advice_is_stored_and_names_the_look(workspace: Workspace) -> None:
    advice = DeclaredAdvice(
        cells=frozenset("ab"), reference=frozenset("a"), margin=1.5, cost="memory"
    )
    advised = replace(FIRST, advice=frozenset([advice]))
    assert advised.id != FIRST.id
    workspace.add_looks([advised])
    (found,) = workspace.looks(["a1"])
    assert (found.id, found.advice) == (advised.id, {advice})
    assert joined("both", [FIRST, advised]).advice == {advice}


def test_a_look_without_advice_is_known_by_the_name_that_it_always_had() -> None:
    assert FIRST.content == (
        '{"places":[["a",{"a1":1,"a2":2}],["b",{"b1":1,"b2":2}]],"claims":[["s",1.5,false]]}'
    )


def test_only_looks_that_showed_a_trial_are_found_by_it(workspace: Workspace) -> None:
    workspace.add_looks([FIRST])
    assert workspace.looks(["a2", "c1"]) == []
    assert workspace.looks([]) == []


def test_the_same_look_under_another_name_is_not_stored_again(workspace: Workspace) -> None:
    workspace.add_looks([FIRST])
    workspace.add_looks([look({"b": ["b2", "b1"], "a": ["a1", "a2"]}, {"a1": 2}, study="renamed")])
    (found,) = workspace.looks(["a1"])
    assert (found.study, found.shown) == ("study", {"a1": day(1)})


def test_a_trial_that_is_shown_later_has_its_own_date(workspace: Workspace) -> None:
    workspace.add_looks([FIRST])
    later = look({"a": ["a1", "a2"], "b": ["b1", "b2"]}, {"a1": 3, "a2": 3})
    workspace.add_looks([later])
    (found,) = workspace.looks(["a1", "a2"])
    assert found.shown == {"a1": day(1), "a2": day(3)}


def test_what_is_known_is_not_written_again(workspace: Workspace) -> None:
    workspace.add_looks([FIRST])
    changes = workspace._connection.total_changes
    workspace.add_looks([FIRST])
    assert workspace._connection.total_changes == changes


def test_the_first_dates_count_where_two_places_know_a_look() -> None:
    late = look({"a": ["a1", "a2"], "b": ["b1", "b2"]}, {"a1": 4, "a2": 4})
    (found,) = united([late], [FIRST])
    assert found.shown == {"a1": day(1), "a2": day(4), "b1": day(1)}
    other = look({"a": ["a1"]}, {"a1": 2})
    assert {one.id for one in united([late, other], [FIRST])} == {FIRST.id, other.id}


def test_several_studies_on_one_page_are_one_look() -> None:
    other = look({"c": ["c1"]}, {"c1": 1}, claims=())
    both = joined("two", [FIRST, other])
    assert {place.cell for place in both.places} == {"a", "b", "c"}
    assert (both.claims, both.shown.keys()) == (FIRST.claims, {"a1", "b1", "c1"})


def test_a_claim_is_known_by_what_it_compares() -> None:
    first = subject_of("better", [[["x", "y"]], [["z"]]])
    assert first == subject_of("better", [[["y", "x"]], [["z"]]])
    assert first != subject_of("better", [[["z"]], [["x", "y"]]])
    assert first != subject_of("equivalent", [[["x", "y"], ["z"]]])
    same = subject_of("equivalent", [[["z"], ["x"]]])
    assert same == subject_of("equivalent", [[["x"], ["z"]]])


@pytest.mark.parametrize("change", [
    "UPDATE shown SET shown_at = 'yesterday'",
    "UPDATE shown SET shown_at = '2026-11-01T12:00:00'",
    "UPDATE declarations SET content = '{}'",
    "UPDATE declarations SET content = 'x'",
])  # fmt: skip
def test_damage_is_one_line(workspace: Workspace, change: str) -> None:
    workspace.add_looks([FIRST])
    with sqlite3.connect(workspace.path / DATABASE) as database:
        database.execute(change)
    database.close()
    with pytest.raises(UserError, match="the results cannot be read"):
        workspace.looks(["a1"])
