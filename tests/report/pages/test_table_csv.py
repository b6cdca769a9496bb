"""The CSV of a table has numbers, not their texts, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest

from peftlab.report.pages.blocks import NOTHING, Cell, Table
from peftlab.report.pages.table_csv import csv_text

FORMULAS = ['=HYPERLINK("http://x","y")', "+cmd|'/C calc'!A0", "-1+1", "@SUM(1)", "\t=1", "＝1+1"]


def read(table: Table) -> list[list[str]]:
    return list(csv.reader(io.StringIO(csv_text(table), newline="")))


def test_a_number_is_written_in_full_with_its_interval_and_unit_beside_it() -> None:
    table = Table(
        title="t",
        columns=["arm", "score", "training"],
        rows=[
            ["full", Cell("83.2 [80.1, 85.9]", value=83.2461, low=80.125, high=85.875), "-"],
            ["lora", NOTHING, Cell("2 min 5 s", value=125.25)],
        ],
        units={"score": "points", "training": "seconds"},
    )
    assert read(table) == [
        [
            "arm",
            "score (points)",
            "score low (points)",
            "score high (points)",
            "training (seconds)",
        ],
        ["full", "83.2461", "80.125", "85.875", ""],
        ["lora", "", "", "", "125.25"],
    ]
    frame = pd.read_csv(io.StringIO(csv_text(table)))
    assert frame["training (seconds)"].tolist()[1] == 125.25
    assert frame["score (points)"].dtype == float


def test_a_mark_has_a_column_of_its_own() -> None:
    cell = Cell("48.7 [32.9, 64.4]", value=48.7, low=32.9, high=64.4, mark="× no")
    table = Table(title="t", columns=["arm", "score"], rows=[["lora", cell], ["full", "-"]])
    assert read(table) == [
        ["arm", "score", "score low", "score high", "score mark"],
        ["lora", "48.7", "32.9", "64.4", "× no"],
        ["full", "", "", "", ""],
    ]


def test_counts_stay_whole_and_texts_that_are_numbers_lose_their_commas() -> None:
    row = [
        "1",
        Cell("109,780,228", value=109780228),
        "1,234.5",
        "-7",
        Cell("nan", value=float("nan")),
    ]
    table = Table(title="t", columns=[*"abcde"], rows=[row])
    assert read(table)[1] == ["1", "109780228", "1234.5", "-7", ""]


@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_takes_for_a_formula_is_text(text: str) -> None:
    table = Table(title="t", columns=["arm", text], rows=[[text, "x"]])
    head, row = read(table)
    assert (head[1], row[0]) == (f"'{text}", f"'{text}")


@pytest.mark.parametrize("text", ['a "b", c', "two\nlines", "<script>alert(1)</script>", "ünï 漢"])
def test_any_text_comes_back_as_it_was(text: str) -> None:
    assert read(Table(title="t", columns=["arm"], rows=[[text]])) == [["arm"], [text]]
