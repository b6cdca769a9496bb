"""What a cell of labels says: flags, numbers with either sign, lists as text, no value."""

from __future__ import annotations

from typing import Any

import pytest

from peftlab.data.label_cells import flag_of, has_decimal_comma, is_missing, list_in, number_of


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ('["joy", "fear"]', ["joy", "fear"]),
        ("['joy', 'fear']", ["joy", "fear"]),
        ('[\'it\\\'s\', "a \\"b\\""]', ["it's", 'a "b"']),
        ("['a, b', '[c]']", ["a, b", "[c]"]),
        ("['joy' 'fear'\n 'awe']", ["joy", "fear", "awe"]),  # as NumPy prints
        ("['joy',]", ["joy"]),
        ("['\\u732b \\x41 \\n']", ["猫 A \n"]),
        (" [] ", []),
        ("[ ]", []),
        ("[0, 1, 0]", [0, 1, 0]),
        ("[0 1 0]", [0, 1, 0]),
        ("[0. 1.]", [0.0, 1.0]),
        ("[True, False]", [True, False]),
        ("[true, false]", [True, False]),
    ],
)
def test_a_list_as_json_python_or_numpy_write_it_is_one(text: str, items: list[Any]) -> None:
    assert list_in(text) == items


@pytest.mark.parametrize(
    "text",
    [
        "joy", "[spam]", "[joy, fear]", '["joy"', "['joy]", "['a''b']", "[, 'a']", "['a' 'b'", "",
        "[0 ... 1]", "['a', None, x]", "[" * 100_000 + "]" * 100_000, "[" + "'a'," * 10**6 + "]",
        "{'a': 1}", "['a'] and more",
    ],
)  # fmt: skip
def test_what_is_no_list_is_none(text: str) -> None:
    assert list_in(text) is None


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("1,5", 1.5), ("-0,25", -0.25), ("2", 2.0), ("1 234,5", 1234.5), ("1.234,5", 1234.5),
        ("1\u00a0234\u202f567,25", 1234567.25), ("1'234,5", 1234.5), (" 3,0 ", 3.0), (2, 2.0),
        ("2.5", None), ("1.234", None), ("1,2,3", None), ("12 34,5", None), ("a,5", None),
        ("1,", None), (True, None), (None, None),
    ],
)  # fmt: skip
def test_numbers_with_decimal_commas(cell: object, number: float | None) -> None:
    assert number_of(cell, has_decimal_commas=True) == number


@pytest.mark.parametrize(("text", "is_decimal"), [
    ("1,5", True), ("0,125", True), ("1,2345", True), ("1.234,567", True),
    ("1,234", False), ("12,345", False), ("15", False), ("1,2,3", False), ("a,b", False),
])  # fmt: skip
def test_a_comma_before_three_digits_may_stand_between_thousands(
    text: str, is_decimal: bool
) -> None:
    assert has_decimal_comma(text) is is_decimal


def test_flags_are_known_however_they_are_written() -> None:
    assert [flag_of(cell) for cell in (1, 1.0, "1", "1.0", " True", "1.", True)] == [1] * 7
    assert [flag_of(cell) for cell in (0, 0.0, "0", "0.00", "FALSE ", False)] == [0] * 6
    assert [flag_of(cell) for cell in (2, 0.5, "01", "", None, [1], "1.5", "yes")] == [None] * 8


def test_what_other_programs_write_for_no_value_is_known() -> None:
    missing = (None, float("nan"), "", " ", "nan", "NaN", "NA", "N/A", "null", "None", "<NA>", "?")
    assert all(map(is_missing, missing))
    assert not any(map(is_missing, (0, "0", "no", "neutral", "Nan Goldin", False, [])))
