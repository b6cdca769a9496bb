"""A registry gives entries by name, in the order in which they joined, each name once."""

from __future__ import annotations

import pytest

from peftlab.core.errors import UnknownNameError
from peftlab.core.registry import Registry


def two_colours() -> Registry[int]:
    registry = Registry[int]("colour")
    registry.add("white", 2)
    registry.add("black", 1)
    return registry


def test_entries_keep_the_order_in_which_they_joined() -> None:
    registry = two_colours()
    assert registry.names() == ["white", "black"]
    assert list(registry) == [2, 1]
    assert len(registry) == 2
    assert registry.get("black") == 1
    assert "black" in registry
    assert "grey" not in registry


def test_a_name_serves_once_and_the_first_entry_stays() -> None:
    registry = two_colours()
    with pytest.raises(ValueError, match="colour 'white' is registered twice"):
        registry.add("white", 3)
    assert registry.get("white") == 2


def test_an_unknown_name_is_one_line_with_its_place() -> None:
    with pytest.raises(UnknownNameError) as caught:
        two_colours().get("blac", where="here")
    assert str(caught.value) == (
        "here: unknown colour 'blac', did you mean 'black'? (allowed: black, white)"
    )
    assert caught.value.__suppress_context__


def test_a_temporary_entry_joins_or_stands_in_and_leaves_again() -> None:
    registry = two_colours()
    with registry.temporarily("grey", 3) as grey, registry.temporarily("black", 4):
        assert grey == 3
        assert registry.names() == ["white", "black", "grey"]
        assert list(registry) == [2, 4, 3]
    with pytest.raises(RuntimeError), registry.temporarily("grey", 3):
        raise RuntimeError
    assert registry.names() == ["white", "black"]
    assert list(registry) == [2, 1]


def test_the_list_of_names_is_a_copy() -> None:
    registry = two_colours()
    registry.names().clear()
    assert len(registry) == 2
