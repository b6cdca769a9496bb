"""A text file is read in the encoding and with the separator that its bytes show, or refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from peftlab.core.errors import UserError
from peftlab.data.read_options import ReadOptions, read_options
from peftlab.data.row_files import Row, read_rows

CSV = "text,label\nnaïve,a\nso-so,b\n"
ROWS = [{"text": "naïve", "label": "a"}, {"text": "so-so", "label": "b"}]


def line_of(path: Path, **said: str) -> str:
    with pytest.raises(UserError) as caught:
        read(path, **said)
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    return line.removeprefix(str(path))


def read(path: Path, **said: str) -> list[Row]:
    return [row for part in read_rows(path, options=ReadOptions(**said)) for row in part]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_an_encoding_is_found_by_the_mark_or_by_the_bytes(
    encoding: str, packed: str, tmp_path: Path
) -> None:
    path = tmp_path / f"t.csv{packed}"
    content = CSV.encode(encoding)
    path.write_bytes(gzip.compress(content) if packed else content)
    assert read(path) == ROWS
    found = read_options(path)
    assert found == ReadOptions(sep=",", encoding=encoding.removesuffix("-sig"))
    assert read(path, encoding=found.encoding or "") == ROWS


@pytest.mark.parametrize("ending", [".tsv", ".jsonl", ".json", ".txt"])
@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
def test_all_text_may_be_in_another_encoding(encoding: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"t{ending}"
    text = {".tsv": "a\nnaïve\n", ".jsonl": '{"a": "naïve"}\n', ".txt": "naïve\n"}
    path.write_bytes(text.get(ending, '[{"a": "naïve"}]').encode(encoding))
    rows = [row for part in read_rows(path, names=["a"]) for row in part]
    assert rows == [{"a": "naïve"}]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".txt"])
def test_utf16_without_a_mark_is_named_and_can_be_said(
    encoding: str, ending: str, tmp_path: Path
) -> None:
    path = tmp_path / f"t{ending}"
    path.write_bytes(CSV.encode(encoding))
    line = line_of(path)
    assert line.startswith(": cannot read the file: not UTF-8 text; it seems to be UTF-16")
    assert f"encoding: {encoding} in the study's data" in line
    if ending == ".csv":
        assert read(path, encoding=encoding) == ROWS


OTHERS = [
    ("cp1251", "Очень хороший фильм"),
    ("iso8859-7", "Πολύ καλή ταινία"),
    ("cp1250", "Był zły, ćwierć łódź mądrą"),
    ("gbk", "很好的电影，真的很好"),
    ("shift_jis", "とても良い映画でした"),
    ("euc_kr", "아주 좋은 영화"),
    ("cp850", "un café à côté"),
    ("mac_roman", "un café à côté"),
]


@pytest.mark.parametrize(("encoding", "text"), OTHERS)
def test_what_is_no_western_text_is_refused_and_can_be_said(
    encoding: str, text: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(f"text;label\n{'so-so' * 9};a\n{text};b\n".encode(encoding))
    assert ": cannot read the file: not UTF-8 text at line 3 (byte 0x" in line_of(path)
    assert "encoding: NAME in the study's data" in line_of(path)
    assert read(path, encoding=encoding)[1]["text"] == text


@pytest.mark.parametrize(
    "text",
    [
        "« Le café était fermé »", "Größe, Füße, Äpfel: »Idee«", "El niño – ¿qué?", "l’œuvre… 5 €",
        "créée à Noël", "Smørrebrød på ø", "“naïve” — façade", "S. 3, § 5, 20 °C, 3 m²",
    ],
)  # fmt: skip
def test_western_text_is_read_as_windows_1252(text: str, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(f'{{"text": "{text}"}}\n'.encode("cp1252"))
    assert read(path) == [{"text": text}]


@pytest.mark.parametrize("before", [1, 100_000])
def test_the_line_on_which_utf8_is_damaged_is_named(before: int, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"text,label\n" + "猫 é,b\n".encode() * before + b"caf\xe9,a\n")
    line = line_of(path)
    assert f": not UTF-8 text at line {before + 2:,} (byte 0xE9)" in line


def test_an_encoding_that_the_bytes_deny_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(CSV, encoding="utf-8")
    assert "is UTF-8 text, and the encoding is said to be cp1252" in line_of(
        path, encoding="cp1252"
    )
    path.write_text(CSV, encoding="utf-16")
    assert "begins with the mark of utf-16" in line_of(path, encoding="utf-8")
    path.write_text(CSV, encoding="cp1252")
    assert "not UTF-8 text at line 2" in line_of(path, encoding="utf-8")
    assert "no mark that says in which order" in line_of(path, encoding="utf-16")


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
    assert ": cannot read the file: it is not text; it seems to be " in line_of(path)
    assert words in line_of(path)


SEPARATED = [
    ("text;label\ngood, really;a\n", ";", "good, really"),
    ("text;score\ngood;1,5\nbad;0,5\n", ";", "good"),
    ("text\tlabel\ngood, or; so\ta\n", "\t", "good, or; so"),
    ("text|label\ngood; so|a\n", "|", "good; so"),
    ("sep=;\ntext;label\ngood, so;a\n", ";", "good, so"),
    ('"sep=,"\r\ntext,label\r\n"good; so",a\r\n', ",", "good; so"),
    ("sep=#\ntext#label\na,b;c#d\n", "#", "a,b;c"),
    ("text,label\ngood; bad,a\nso; so,b\n", ",", "good; bad"),
    ('text,label\n"good\nnews; and, more",a\n', ",", "good\nnews; and, more"),
    ('text;label\n"good\nnews; and, more";a\n', ";", "good\nnews; and, more"),
    ('text,"a;b"\nx;y,z\nx,z\n', ",", "x;y"),
    ("text;label, first\ngood;a\n", ";", "good"),
    ('"text\nof it";label\na;b\n', ";", None),
]


@pytest.mark.parametrize(("content", "sep", "text"), SEPARATED)
def test_a_separator_is_found(content: str, sep: str, text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content, newline="")
    assert read_options(path).sep == sep
    row = read(path)[0]
    assert len(row) == 2
    assert row.get("text") == text
    assert read(path, sep=sep)[0] == row


def test_a_separator_that_could_be_another_is_refused_until_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text;a,label;b\nx;y,z;w\n")
    line = line_of(path)
    assert line.startswith(":1: the columns may be separated by ',' or ';': 'text;a,label;b'")
    assert "sep: ',' in the study's data, or --sep ','" in line
    assert read(path, sep=",") == [{"text;a": "x;y", "label;b": "z;w"}]
    assert read(path, sep=";") == [{"text": "x", "a,label": "y,z", "b": "w"}]


def test_what_excel_wrote_is_not_overruled(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("sep=;\ntext;label\nx;y\n")
    assert line_of(path, sep=",").startswith(":1: the first line says that ';' separate the fields")


@pytest.mark.parametrize(
    ("text", "words"),
    [("text,label\ngood,a\n", "by ','"), ("text;label\ngood;a\n", "by ';'")],
)
def test_another_separator_than_tabs_is_named(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text(text)
    line = line_of(path)
    assert line.startswith(":1: the columns seem to be separated by ")
    assert words in line


def test_rows_with_other_separators_than_the_header_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text,label\na;b\n")
    assert line_of(path).startswith(":2: 1 field where there must be 2")


def test_one_column_and_separators_in_texts_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('text\na;b\n"c,d"\n')
    assert [row["text"] for row in read(path)] == ["a;b", "c,d"]
    path.write_text('text,"a;b"\nx,y\n')
    assert read(path) == [{"text": "x", "a;b": "y"}]
