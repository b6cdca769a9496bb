"""The content of a parsed file is bounded, whatever its aliases expand to."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peftlab.core.bounds import DEEPEST, MOST_VALUES, check_text, check_values
from peftlab.core.errors import UserError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("aé猫 \n\t", max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab"), inner, max_size=4),
    max_leaves=20,
)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@given(PLAIN)
def test_what_files_hold_passes(value: Any) -> None:
    check_values(value, where="here")


def test_aliases_are_counted_as_often_as_they_stand() -> None:
    laughs: Any = [1] * 10
    for _ in range(12):
        laughs = [laughs] * 10
    for value in (
        laughs,
        {"a": laughs},
        list(range(MOST_VALUES)),
        {str(k): k for k in range(60_000)},
    ):
        with pytest.raises(UserError, match=r"more than 100,000 values"):
            check_values(value, where="here")
    check_values([1] * (MOST_VALUES - 1), where="here")


def test_depth_ends_and_so_does_what_holds_itself() -> None:
    check_values(nested(DEEPEST), where="here")
    loop: list[Any] = []
    loop.append(loop)
    for value in (nested(DEEPEST + 1), loop):
        with pytest.raises(UserError, match=r"^here: nested more than 50 deep$"):
            check_values(value, where="here")


@pytest.mark.parametrize("sign", ["\0", "\x1b", "\x7f", "\ud800"])
def test_signs_that_no_text_has_are_named_with_their_key(sign: str) -> None:
    shown = re.escape(f"the character U+{ord(sign):04X} is not allowed (allowed: printed text)")
    for value in ({"a": 1, "key": [{"x": f"a{sign}"}]}, {"key": {sign: 1}}):
        with pytest.raises(UserError, match=f"^here: key: {shown}$"):
            check_values(value, where="here")
    with pytest.raises(UserError, match=f"^here: {shown}$"):
        check_text(sign, where="here")
