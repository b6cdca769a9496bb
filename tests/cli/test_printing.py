"""Commands print whole tables as rich would draw them, or JSON alone."""

from __future__ import annotations

import io
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from peftlab.cli.printing import json_alone, print_json, print_table
from peftlab.cli.text_table import text_table

WORDS = st.text("ab é中†", max_size=12).map(str.strip)
NAMES = st.lists(st.sampled_from(["arm", "#rows", "#two\nlines", "中"]), min_size=1, max_size=4)


def drawn_by_rich(columns: list[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of the table as rich draws it, with as much width as it needs."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        is_number = column.startswith("#")
        table.add_column(column.removeprefix("#"), justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(file=io.StringIO(), width=1000, color_system=None)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@given(NAMES, st.data())
def test_a_table_is_as_rich_would_draw_it(columns: list[str], data: st.DataObject) -> None:
    row = st.lists(WORDS, min_size=len(columns), max_size=len(columns))
    rows = data.draw(st.lists(row, max_size=3))
    assert text_table(columns, rows).split("\n") == drawn_by_rich(columns, rows)


@given(st.lists(st.lists(WORDS, min_size=2, max_size=2), min_size=1, max_size=3))
def test_a_narrow_terminal_gets_every_sign_and_no_line_that_is_too_wide(
    rows: list[list[str]],
) -> None:
    text = text_table(["one", "#two"], rows, max_width=14)
    assert all(Text(line).cell_len <= 14 for line in text.splitlines())
    for sign in "abé中†":
        assert text.count(sign) == sum(cell.count(sign) for row in rows for cell in row)


def test_a_table_is_as_wide_as_its_cells_and_shows_markup_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(("name", "#value"), [("[red]" + "x" * 300, "1"), ("y", "100")])
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["[red]" + "x" * 300, "1"] for line in lines)
    assert any(line.rstrip().endswith("  1") for line in lines)


def test_a_terminal_gets_its_width_a_bold_head_and_a_slanted_title(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("TERM", "xterm")
    print_table(("name", "#value"), [("word " * 20, "1")], title="a title")
    out = capsys.readouterr().out
    title, _, head, _, first, *_ = out.splitlines()
    assert title == "\x1b[3ma title\x1b[0m"
    assert head.startswith("\x1b[1m name")
    assert head.endswith(" value\x1b[0m")
    assert first == f" {'word word word word':20}       1"
    monkeypatch.setitem(os.environ, "TERM", "dumb")
    print_table(("name", "#value"), [("x", "1")], title="a title")
    assert "\x1b" not in capsys.readouterr().out


def test_what_libraries_print_is_kept_from_json(capsys: pytest.CaptureFixture[str]) -> None:
    with json_alone():
        print("a library was imported")
        print_json({"a": 1})
    print("as ever")
    out, err = capsys.readouterr()
    assert (out, err) == ('{\n  "a": 1\n}\nas ever\n', "a library was imported\n")
