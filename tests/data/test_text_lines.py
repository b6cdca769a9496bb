"""What a text file is not is said in one line, with what it seems to be and what to do."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from peftlab.core.errors import UserError
from peftlab.data.row_files import read_rows

CSV = "text,label\nnaïve,a\nso-so,b\n"


def line_of(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        list(read_rows(path))
    return str(caught.value).removeprefix(str(path))


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-16", "UTF-16"), ("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16"),
        ("utf-32", "UTF-32"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".txt"])
def test_wide_encodings_are_named(encoding: str, name: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"t{ending}"
    path.write_bytes(CSV.encode(encoding))
    line = line_of(path)
    assert line.startswith(f": cannot read the file: not UTF-8 text; it seems to be {name}")
    assert f"iconv -f {name} -t UTF-8" in line


@pytest.mark.parametrize("before", [0, 100_000])
def test_the_line_that_is_not_utf8_is_named(before: int, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"text,label\n" + "猫 a,b\n".encode() * before + b"caf\xe9,a\n")
    line = line_of(path)
    assert f": not UTF-8 text at line {before + 2} (byte 0xE9)" in line
    assert "Windows-1252" in line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(CSV.encode(), mtime=0), "gzip"),
        (b"PK\x03\x04\x14\0\x06\0", "an .xlsx workbook"),
        (b"PAR1\x15\x04", "Parquet"),
    ],
)
def test_what_is_no_text_is_named(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    assert ": cannot read the file: no text; it seems to be " in line_of(path)
    assert words in line_of(path)


@pytest.mark.parametrize(
    ("ending", "text", "words"),
    [
        (".csv", "text;label\ngood, really;a\n", "by ';': 'text;label'"),
        (".csv", "text\tlabel\ngood\ta\n", "by tabs"),
        (".csv", "text|label\ngood|a\n", "by '|'"),
        (".csv", "sep=;\ntext;label\n", "by ';'"),
        (".tsv", "text,label\ngood,a\n", "by ','"),
        (".tsv", "text;label\ngood;a\n", "by ';'"),
    ],
)
def test_another_separator_is_named(ending: str, text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / f"t{ending}"
    path.write_text(text)
    line = line_of(path)
    assert line.startswith(":1: the columns seem to be separated by ")
    assert words in line


def test_one_column_and_separators_in_texts_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('text\na;b\n"c,d"\n')
    assert [row["text"] for part in read_rows(path) for row in part] == ["a;b", "c,d"]
    path.write_text('text,"a;b"\nx,y\n')
    assert list(read_rows(path)) == [[{"text": "x", "a;b": "y"}]]
