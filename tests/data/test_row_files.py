"""Rows come back from a file of each format as they were written, and bad files are named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from peftlab.core.errors import UserError
from peftlab.data.row_files import WRITABLE, Row, read_rows, row_writer

ROWS: list[Row] = [
    {"id": "1", "text": 'she said "no", twice'},
    {"id": "2", "text": "a café \\/ bar"},
    {"id": "3", "text": ""},
]
COLUMNS = {"id": str, "text": str}


def read(path: Path, size: int = 8192) -> list[Row]:
    return [row for part in read_rows(path, size=size) for row in part]


def write(path: Path, rows: list[Row], columns: dict[str, type] = COLUMNS) -> Path:
    with row_writer(path, columns) as append:
        append(rows[:1])
        append(rows[1:])
    return path


@pytest.mark.parametrize("ending", WRITABLE)
def test_rows_come_back_as_they_were_written(ending: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"rows{ending}", ROWS)
    assert read(path) == ROWS
    assert [len(part) for part in read_rows(path, size=2)] == [2, 1]
    assert list(tmp_path.iterdir()) == [path]


def test_a_text_may_be_as_long_as_a_book(tmp_path: Path) -> None:
    rows = [{"id": "1", "text": "word " * 100_000}]
    assert read(write(tmp_path / "books.csv", rows)) == rows


def test_a_csv_field_may_hold_line_ends_and_a_tsv_field_has_them_written_out(
    tmp_path: Path,
) -> None:
    rows = [{"id": "1", "text": "a\tb\nc\r\nd"}]
    assert read(write(tmp_path / "rows.csv", rows)) == rows
    assert read(write(tmp_path / "rows.tsv", rows)) == [{"id": "1", "text": r"a\tb\nc\r\nd"}]


def test_a_quote_in_a_tsv_is_a_quote(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_bytes(b'\xef\xbb\xbfid\ttext\r\n1\t"The film\r\n2\tends"\r\n')
    assert read(path) == [{"id": "1", "text": '"The film'}, {"id": "2", "text": 'ends"'}]


def test_parquet_keeps_its_types_from_file_to_file(tmp_path: Path) -> None:
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    schema = pa.schema(
        [("when", pa.timestamp("ms")), ("score", pa.float32()), ("text", pa.string())]
    )
    pq.write_table(pa.table([[0, None], [0.1, 0.2], ["a", "b"]], schema=schema), source)
    with row_writer(
        target, {"when": object, "score": float, "text": str, "p": float}, source
    ) as append:
        append([row | {"p": 0.5} for row in read(source)])
    written = pq.read_table(target)
    assert written.schema == schema.append(pa.field("p", pa.float64()))
    assert written.drop_columns("p").equals(pq.read_table(source))


def test_objects_of_jsonl_keep_all_that_they_hold(tmp_path: Path) -> None:
    rows = [{"text": "a", "tags": [1, {"b": None}]}, {"text": "b", "more": 1.5}]
    path = write(tmp_path / "rows.jsonl", rows)
    assert [json.loads(line) for line in path.read_text().splitlines()] == rows
    path.write_text('{"text": "a"}\n\n  \n{"text": "b"}')
    assert read(path) == [{"text": "a"}, {"text": "b"}]


@pytest.mark.parametrize("ending", WRITABLE)
def test_a_table_of_one_column_may_have_empty_rows_and_signs_beyond_ascii(
    ending: str, tmp_path: Path
) -> None:
    rows = [{"text": "naïve 猫 \U0001f600"}, {"text": ""}, {"text": "b"}]
    path = write(tmp_path / f"rows{ending}", rows, {"text": str})
    assert read(path) == rows


def test_nothing_is_written_where_the_rows_fail(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("old")
    with pytest.raises(AttributeError), row_writer(path, COLUMNS) as append:
        append([*ROWS, None])  # type: ignore[list-item]
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_value_that_a_parquet_column_cannot_hold_is_refused_in_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"rows.parquet: cannot write as Parquet: "),
        row_writer(tmp_path / "rows.parquet", {"id": int, "text": str}) as append,
    ):
        append(ROWS)


BAD = {
    "rows.csv": [
        (b"id,text\n1,a\n2\n", ":3: 1 field where there must be 2 (allowed: id | text)"),
        (b'id,text\n1,"a\n2,b\n', ":2: not a row of CSV: unexpected end of data"),
        (b'id,text\n1,"a"b\n', ":2: not a row of CSV: "),
        (b"id,id\n1,a\n", ":1: the column 'id' appears twice"),
        (b"id,text\n", ": the file has no rows"),
        (b"", ": the file is empty"),
        (b"id,text\r1,a\r", ":1: a row ends in \\r alone (allowed: rows that end in "),
        (b"id,text\n1,caf\x81\n", ": cannot read the file: not UTF-8 text"),
    ],
    "rows.tsv": [
        (b"id\ttext\n1\ta\tb\n", ":2: 3 fields where there must be 2 (allowed: id | text)"),
        (b"\n", ": the file has no rows"),
    ],
    "rows.jsonl": [
        (b'{"text": "a"}\n{"text": \n', ":2: not JSON: Expecting value"),
        (b'{"text": 1, "text": 2}\n', ":1: the key 'text' appears twice (allowed: each key once"),
        (b'["a"]\n', ":1: not a JSON object (allowed: an object, {...}, on each line)"),
        (b'{"text": "\\uD83d"}\n', ":1: half of a UTF-16 pair is not text"),
        (b"[" * 100_000, ":1: lists or objects are nested too deeply"),
        (b"\n\n", ": the file has no rows"),
    ],
    "rows.parquet": [(b"PAR1 and more", ": not a Parquet file: "), (b"", ": not a Parquet file: ")],
    "rows.json": [
        (
            b'{"text": ["a"]}',
            ":1: one object instead of an array of rows (allowed: an array of objects",
        ),
        (b'[{"text": "a"}\n, 3]', ":2: not a JSON object (allowed: an array of objects"),
        (b'[{"text": "a"},\n]', ":2: not a JSON object"),
        (b'[{"text": "a"}\n{"text": "b"}]', ":2: no comma between objects"),
        (b'[{"text": "a"}', ":1: the array does not end"),
        (b'[{"text": "a"', ":1: the object does not end"),
        (b'[{"text": "a"}] 1', ":1: there is more after the end of the array"),
        (b'[\n{"text": 1, "text": 2}]', ":2: the key 'text' appears twice"),
        (b'[\n\n{"text": x}]', ":3: not JSON: Expecting value"),
        (b'[{"text": "a"}, {"text": x}]\n', ":2: not JSON: Expecting value"),
        (b'[{"text": "a"}, {"text": "b"}, 3]', ":3: not a JSON object"),
        (b'[{"text": "a"}, {"text": "b"} {"text": "c"}]', ":2: no comma between objects"),
        (b'[{"text": "a"}, {"text": "b"', ":2: the object does not end"),
        (b"[]", ": the file has no rows"),
        (b" ", ": the file has no rows"),
        (b'"text"', ":1: not an array of JSON"),
    ],
    "rows.xlsx": [(b"PK", ": not an .xlsx workbook: "), (b"", ": not an .xlsx workbook: ")],
    "rows.xls": [
        (b"", ": the ending '.xls' is not a known format (allowed: .csv, .tsv, .jsonl, .json, ")
    ],
    "rows.parquet.gz": [(b"", ": the ending '.parquet.gz' is not a known format (allowed: .csv, ")],
    "rows.csv.gz": [
        (b"id,text\n", ": cannot read the file: not gzip: Not a gzipped file"),
        (gzip.compress(b"id,text\n1,a\n", mtime=0)[:-9], ": cannot read the file: not gzip: "),
        (gzip.compress(b"", mtime=0), ": the file is empty"),
        (gzip.compress(b"id,text\n", mtime=0), ": the file has no rows"),
        (gzip.compress(b"id,text\n1\n", mtime=0), ":2: 1 field where there must be 2"),
    ],
    "rows": [(b"", ": a file without an ending (allowed: .csv, ")],
}


@pytest.mark.parametrize(
    ("name", "content", "words"), [(name, *bad) for name, every in BAD.items() for bad in every]
)
def test_a_bad_file_is_named_in_one_line(
    name: str, content: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}{words}")
    assert "\n" not in str(caught.value)


def test_an_empty_parquet_file_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    with pytest.raises(UserError, match=r"the file has no rows$"):
        read(path)


def test_a_parquet_file_has_the_rows_that_its_footer_promises_or_is_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.parquet", ROWS).read_bytes()
    footer = int.from_bytes(whole[-8:-4], "little")
    path, refused = tmp_path / "damaged.parquet", 0
    for place in range(len(whole) - 8 - footer, len(whole) - 8):
        damaged = bytearray(whole)
        damaged[place] ^= 2
        path.write_bytes(damaged)
        try:
            assert read(path)
        except UserError as error:
            refused += "rows where its footer says" in str(error)
    assert refused


def test_an_array_of_objects_is_read_as_its_lines_would_be(tmp_path: Path) -> None:
    rows = [{"text": 'a "b" [c] {d} \\', "tags": [[1], {"x": "]"}]}, {"text": "é\n"}]
    for indent in (None, 2):
        path = tmp_path / "rows.json"
        path.write_text(json.dumps(rows, indent=indent))
        assert read(path) == rows
    path = tmp_path / "rows.json.gz"
    path.write_bytes(gzip.compress(json.dumps(rows).encode()))
    assert read(path) == rows
