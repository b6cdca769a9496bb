"""A sheet of a workbook is read as its CSV would be, and too large a workbook is refused."""

from __future__ import annotations

import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from peftlab.core.errors import UserError
from peftlab.data.read_options import ReadOptions, read_options
from peftlab.data.row_files import Row, read_rows
from peftlab.data.workbook_rows import DateText


def made(path: Path, rows: list[list[Any]], **further: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    for place, (name, own) in enumerate({"Sheet1": rows, **further}.items()):
        sheet = book.create_sheet(name, place)
        for row in own:
            sheet.append(row)
    del book["Sheet"]
    book.save(path)
    return path


def read(path: Path, **said: str) -> list[Row]:
    return [row for part in read_rows(path, options=ReadOptions(**said)) for row in part]


def refused(path: Path, **said: str) -> str:
    with pytest.raises(UserError) as caught:
        read(path, **said)
    return str(caught.value).removeprefix(str(path))


def test_cells_are_the_texts_that_a_csv_would_have(tmp_path: Path) -> None:
    rows = [["text", 7], ["a\n=b", 1], ["é", 2.5], ["c", 0.1 + 0.2], ["d", True], [12, None], [" "]]
    path = made(tmp_path / "t.xlsx", [[], *rows, [None, None]])
    assert [[*row.values()] for row in read(path)] == [
        ["a\n=b", "1"], ["é", "2.5"], ["c", "0.3"], ["d", "true"], ["12", ""], [" ", ""],
    ]  # fmt: skip
    assert [*read(path)[0]] == ["text", "7"]


def test_a_date_is_a_text_of_its_own_kind(tmp_path: Path) -> None:
    path = made(tmp_path / "t.xlsx", [["a", "b"], [date(2024, 2, 1), datetime(2024, 2, 1, 12, 30)]])
    (row,) = read(path)
    assert row == {"a": "2024-02-01", "b": "2024-02-01 12:30:00"}
    assert all(isinstance(cell, DateText) for cell in row.values())


def test_the_first_sheet_that_is_shown_is_read_or_the_one_that_is_said(tmp_path: Path) -> None:
    path = made(tmp_path / "t.xlsx", [["a"], ["x"]], more=[["a"], ["y"]])
    assert (read_options(path).sheet, read(path)) == ("Sheet1", [{"a": "x"}])
    assert read(path, sheet="more") == [{"a": "y"}]
    assert refused(path, sheet="mor") == ": there is no sheet 'mor' (allowed: Sheet1, more)"
    book = openpyxl.load_workbook(path)
    book["Sheet1"].sheet_state = "hidden"
    book.save(tmp_path / "u.xlsx")
    assert read_options(tmp_path / "u.xlsx").sheet == "more"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([["a", "b"], ["x", "y", "z"]], ":2: 3 cells where the first row names 2 columns"),
        ([["a", "a"], ["x", "y"]], ":1: the column 'a' appears twice"),
        ([["a", "b"]], ": the file has no rows"),
        ([], ": the file has no rows"),
    ],
)
def test_a_sheet_that_is_no_table_is_refused(
    rows: list[list[Any]], words: str, tmp_path: Path
) -> None:
    assert refused(made(tmp_path / "t.xlsx", rows)).startswith(words)


def changed(path: Path, part: str, content: bytes) -> Path:
    """Return the workbook with this content in one part."""
    target = path.with_name("changed.xlsx")
    with (
        zipfile.ZipFile(path) as old,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, content if name == part else old.read(name))
    return target


SHEET = "xl/worksheets/sheet1.xml"
HEAD = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
TAIL = b"</sheetData></worksheet>"
BOMBS = {
    "zeros": (b" " * 300_000_000, "bytes and more"),
    "a far row": (
        HEAD + b'<row r="1"><c r="A1"><v>1</v></c></row><row r="900000000"><c/></row>' + TAIL,
        "rows",
    ),
    "far columns": (HEAD + b'<row><c r="ZZZ1"/></row>' * 9_000 + TAIL, "values"),
    "entities": (b'<!DOCTYPE x [<!ENTITY a "b">]>' + HEAD, "not an .xlsx workbook: "),
    "no XML": (b"\0" * 100, "not an .xlsx workbook: "),
    "a shared text that is not there": (
        HEAD + b'<row r="1"><c r="A1" t="s"><v>99</v></c></row>', "not an .xlsx workbook: ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_workbook_that_unpacks_to_very_much_is_refused(name: str, tmp_path: Path) -> None:
    content, words = BOMBS[name]
    path = changed(made(tmp_path / "t.xlsx", [["a"], ["x"]]), SHEET, content)
    assert path.stat().st_size < 1_000_000
    assert words in refused(path)


def test_damaged_parts_are_named_in_one_line(tmp_path: Path) -> None:
    path = made(tmp_path / "t.xlsx", [["a", "b"], *([f"text {n}", n] for n in range(200))])
    good = path.read_bytes()
    said: list[str] = []
    for place in range(60, len(good), len(good) // 40):
        path.write_bytes(good[:place] + b"\xff\xff\xff" + good[place + 3 :])
        try:
            read(path)
        except UserError as error:
            said.append(str(error))
    assert said
    assert all(len(one.splitlines()) == 1 for one in said)


@pytest.mark.parametrize("place", ["A1", "B1", "A3", "B3", "C3"])
def test_a_formula_without_a_stored_result_is_named(place: str, tmp_path: Path) -> None:
    rows = [["text", "label", "length"], ["x", "yes", 1], ["y", "no", 1]]
    path = made(tmp_path / "t.xlsx", rows)
    book = openpyxl.load_workbook(path)
    book["Sheet1"][place] = '=CONCATENATE("a", "b")'
    book.save(path)
    assert refused(path) == (
        f": Sheet1!{place} is a formula without a stored result "
        "(try: open the file in a spreadsheet program and save it)"
    )


def test_an_array_formula_and_a_shared_one_are_formulas(tmp_path: Path) -> None:
    path = made(tmp_path / "t.xlsx", [["a"], ["x"]])
    for cell in (b'<f t="shared" si="0"/>', b'<f t="array" ref="A2">B1</f><v></v>'):
        row = b'<row r="1"><c r="A1"><v>1</v></c></row><row r="2"><c r="A2">' + cell + b"</c></row>"
        words = refused(changed(path, SHEET, HEAD + row + TAIL))
        assert "Sheet1!A2 is a formula without a stored result" in words


def test_a_formula_whose_stored_result_is_the_empty_text_is_an_empty_cell(tmp_path: Path) -> None:
    rows = (
        b'<row r="1"><c r="A1"><v>1</v></c><c r="B1"><v>2</v></c></row>'
        b'<row r="2"><c r="A2" t="str"><f>""</f><v></v></c><c r="B2"><f>1+1</f><v>2</v></c></row>'
    )
    path = changed(made(tmp_path / "t.xlsx", [["a"], ["x"]]), SHEET, HEAD + rows + TAIL)
    assert read(path) == [{"1": "", "2": "2"}]
