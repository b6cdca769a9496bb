"""A cell of labels is read: flags, numbers with either sign, no value."""

from __future__ import annotations

import pytest

from peftlab.data.label_cells import (
    flag_of,
    has_decimal_comma,
    is_missing,
    looks_like_number,
    number_of,
)


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


@pytest.mark.parametrize(
    "text",
    ["2", "-1.5", "0,5", "1,000", "12,345,678.9", "1.234,5", "10%", "10 %", "$5", "5 €", "1.5e3"],
)
def test_what_looks_like_a_number_is_known(text: str) -> None:
    assert looks_like_number(text)


@pytest.mark.parametrize(
    "text", ["", "a", "0,5,1", "1,00,0", "18-25", "3/5", "nan", "inf", "%", "v1.5"]
)
def test_so_is_what_does_not(text: str) -> None:
    assert not looks_like_number(text)
