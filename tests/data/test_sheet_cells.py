"""A spreadsheet runs nothing of what is written; numbers and other texts stay as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from peftlab.data.row_files import read_rows, row_writer

RUN = (
    "=1+1", "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", " =1+1", "--1", "-x", "+49 30 1234",
    "\uff1d1+1", '=HYPERLINK("http://x","y")',
)  # fmt: skip
KEPT = (
    "-1", "+1.5", "-1,5", "-.5", "-2e-3", "+12%", "-", "=", "", "a=b", "1-1", "'=1+1", "it's",
    "p@x", '"-x" he said',
)  # fmt: skip


def written(path: Path, texts: tuple[str, ...]) -> list[str]:
    with row_writer(path, {"text": str}) as write:
        write([{"text": text} for text in texts])
    return [row["text"] for part in read_rows(path) for row in part]


@pytest.mark.parametrize("ending", [".csv", ".tsv"])
def test_texts_that_would_run_get_an_apostrophe(ending: str, tmp_path: Path) -> None:
    assert written(tmp_path / f"t{ending}", RUN) == [f"'{text}" for text in RUN]


def test_all_others_are_written_as_they_are(tmp_path: Path) -> None:
    assert written(tmp_path / "t.csv", KEPT) == [*KEPT]
    assert written(tmp_path / "t.tsv", KEPT[:-1]) == [*KEPT[:-1]]


def test_tabs_and_line_ends_in_front_do_not_hide_it(tmp_path: Path) -> None:
    assert written(tmp_path / "t.csv", ("\t=1+1", "\r=1+1", "\n=1+1")) == [
        "'\t=1+1", "'\r=1+1", "'\n=1+1",
    ]  # fmt: skip


def test_quotes_that_a_spreadsheet_takes_away_do_not_hide_it(tmp_path: Path) -> None:
    assert written(tmp_path / "t.tsv", ('"=1+1"',)) == ['\'"=1+1"']


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_formats_that_no_spreadsheet_runs_are_exact(ending: str, tmp_path: Path) -> None:
    assert written(tmp_path / f"t{ending}", RUN + KEPT) == [*RUN, *KEPT]


def test_numbers_and_headers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with row_writer(path, {"=x": float, "n": int}) as write:
        write([{"=x": -1.5, "n": -3}])
    assert path.read_text() == "'=x,n\n-1.5,-3\n"
