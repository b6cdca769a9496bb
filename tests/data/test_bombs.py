"""Files without end, or with more content than memory, are refused in one line in time."""

from __future__ import annotations

import gzip
import json
import os
import resource
import socket
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from peftlab.core.errors import UserError
from peftlab.data.parquet_footer import read_footer
from peftlab.data.row_files import Row, read_rows
from peftlab.data.text_lines import LONGEST_ROW

SECONDS, KILOBYTES = 3, 1_000_000
"""Bounds on processor time, which even a busy machine keeps, and on memory."""


def read(path: Path) -> list[Row]:
    return [row for part in read_rows(path) for row in part]


def refused(path: Path) -> str:
    before, start = peak(), process_time()
    with pytest.raises(UserError) as caught:
        read(path)
    assert process_time() - start < SECONDS
    assert peak() - before < KILOBYTES
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    assert len(line) < 500
    return line.removeprefix(f"{path}")


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def repeated(value: str, num_rows: int) -> pa.Array:
    """Return a file in which one text is stored once for many rows."""
    return pa.DictionaryArray.from_arrays(np.zeros(num_rows, np.int32), pa.array([value]))


PARQUET: dict[str, tuple[Callable[[], dict[str, Any]], dict[str, Any], str]] = {
    "one long text in very many rows": (
        lambda: {"text": repeated("x" * 1_000_000, 50_000)}, {}, "and more",
    ),
    "a text that compresses to nothing": (
        lambda: {"text": ["x" * 300_000_000]}, {"use_dictionary": False}, "and more",
    ),
    "a text longer than any": (
        lambda: {"text": ["x" * (LONGEST_ROW + 1)]}, {}, ": a text of 16,777,217 bytes",
    ),
    "rows of nothing": (lambda: {"text": pa.nulls(30_000_000, pa.int8())}, {}, "30,000,000 rows"),
    "rows of the same": (lambda: {"text": repeated("good", 3_000_000)}, {}, "3,000,000 rows"),
    "a list without end": (
        lambda: {
            "text": pa.ListArray.from_arrays(
                pa.array([0, 50_000_000], pa.int32()), pa.nulls(50_000_000, pa.int8())
            )
        },
        {},
        "50,000,000 values in a column",
    ),
    "a list of one long text": (
        lambda: {
            "text": pa.ListArray.from_arrays(
                pa.array([0, 1_000_000], pa.int32()), repeated("x" * 100_000, 1_000_000)
            )
        },
        {},
        "and more",
    ),
    "texts that repeat the one before": (
        lambda: {"text": ["x" * 4_000_000 + str(n) for n in range(50)]},
        {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}},
        "and more",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PARQUET)
def test_a_small_parquet_file_that_unpacks_to_very_much_is_refused(
    name: str, tmp_path: Path
) -> None:
    columns, options, words = PARQUET[name]
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns()), path, compression="zstd", row_group_size=1 << 30, **options)
    assert path.stat().st_size < 1_000_000
    assert words in refused(path)


def test_a_parquet_file_of_real_texts_is_read_however_it_is_packed(tmp_path: Path) -> None:
    texts = [f"{n} {'word ' * (n % 50)}" for n in range(20_000)]
    table = pa.table({"text": texts, "tags": [["a", "b"][: n % 3] for n in range(20_000)]})
    for options in ({}, {"use_dictionary": False}, {"row_group_size": 3000},
                    {"data_page_version": "2.0", "compression": "gzip"}):  # fmt: skip
        path = tmp_path / "t.parquet"
        pq.write_table(table, path, **options)
        assert read(path) == table.to_pylist()


def test_the_footer_is_read_as_pyarrow_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    nested = [{"a": n, "b": [{"c": str(n)}]} for n in range(1000)]
    table = pa.table({"text": [f"text {n}" for n in range(1000)], "é": nested, "n": range(1000)})
    pq.write_table(table, path, row_group_size=300)
    metadata = pq.read_metadata(path)
    with path.open("rb") as stream:
        footer = read_footer(stream, path.stat().st_size)
    assert (footer.num_rows, footer.columns) == (1000, ["text", "é", "n"])
    assert len(footer.groups) == metadata.num_row_groups == 4
    for place, group in enumerate(footer.groups):
        chunks = [metadata.row_group(place).column(k) for k in range(metadata.num_columns)]
        assert [one.num_values for one in group] == [one.num_values for one in chunks]
        assert [one.unpacked for one in group] == [one.total_uncompressed_size for one in chunks]
    assert [chunk.longest_repeated > 0 for chunk in footer.groups[0]] == [True, False, True, False]


@pytest.mark.parametrize("what", ["footer", "columns", "metadata"])
def test_a_footer_of_very_much_is_refused(what: str, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    if what == "columns":
        pq.write_table(pa.table({f"c{n}": [1] for n in range(10_001)}), path)
        assert refused(path) == ": 10,001 columns (allowed: at most 10,000)"
        return
    table = pa.table({"text": ["a"]}).replace_schema_metadata({"k": "v" * (1 << 23)})
    pq.write_table(table, path)
    if what == "footer":
        path.write_bytes(b"PAR1" + b"\xff\xff\xff\x7fPAR1")
        assert "there is no footer at its end" in refused(path)
    else:
        assert "not a Parquet file: a footer of" in refused(path)


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    table = pa.table([["a"], ["b"], ["c"]], names=["text", "label", "label"])
    pq.write_table(table, tmp_path / "t.parquet")
    assert refused(tmp_path / "t.parquet") == ": the column 'label' appears twice"
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "a", "label": "b"}\n{"text": "a", "label": "b", "label": "c"}\n')
    assert refused(path) == (
        ":2: the key 'label' appears twice (allowed: each key once in an object)"
    )


LINES: dict[str, tuple[str, Callable[[], str], str]] = {
    "csv": (".csv", lambda: 'text,label\n"' + "x" * (LONGEST_ROW + 99), ":2: a row of more than"),
    "a quote that never closes": (
        ".csv", lambda: 'text,label\n"' + "word, word\n" * 2_000_000, ":2: a row of more than",
    ),
    "tsv": (".tsv", lambda: "text\tlabel\n" + "x" * (LONGEST_ROW + 99), ":2: a row of more than"),
    "txt": (".txt", lambda: "x" * (LONGEST_ROW + 99), ":1: a row of more than"),
    "jsonl": (".jsonl", lambda: '{"a": "' + "x" * (LONGEST_ROW + 99), ":1: a row of more than"),
    "columns of csv": (".csv", lambda: ",".join(map(str, range(10**6))), ":1: 1,000,000 columns"),
    "columns of tsv": (".tsv", lambda: "\t".join(map(str, range(10**6))), ":1: 1,000,000 columns"),
    "fields of a row": (
        ".csv", lambda: "text,label\n" + "1," * 5_000_000, ":2: 5,000,001 fields where",
    ),
    "keys": (
        ".jsonl", lambda: json.dumps({str(n): 1 for n in range(10_001)}), ":1: 10,001 columns",
    ),
    "values": (".jsonl", lambda: '{"a": [' + "[]," * 3_000_000 + "1]}", ":1: 6,000,002 values"),
    "digits": (
        ".jsonl", lambda: '{"text": "a", "label": ' + "9" * 5_000 + "}",
        ":1: the row has a whole number without end (allowed: at most 4,300 digits)",
    ),
    "depth": (
        ".jsonl", lambda: '{"a": ' + "[" * 200_000,
        ":1: lists or objects are nested too deeply (allowed: fewer levels)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_rows_without_end_are_refused(name: str, tmp_path: Path) -> None:
    ending, text, words = LINES[name]
    path = tmp_path / f"t{ending}"
    path.write_text(text())
    line = refused(path)
    assert words in line, line
    assert ("quote" in line) == (ending == ".csv" and "a row of more" in line)


def test_a_text_as_long_as_five_novels_is_read(tmp_path: Path) -> None:
    text = "word, " * 2_700_000
    (tmp_path / "t.csv").write_text(f'text,label\n"{text}",a\n')
    (tmp_path / "t.tsv").write_text(f"text\tlabel\n{text}\ta\n")
    (tmp_path / "t.jsonl").write_text(json.dumps({"text": text, "label": "a"}))
    for ending in ("csv", "tsv", "jsonl"):
        assert read(tmp_path / f"t.{ending}") == [{"text": text, "label": "a"}]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet", ".txt", ""])
@pytest.mark.parametrize("kind", ["device", "pipe", "folder", "socket"])
def test_what_is_no_file_is_not_opened(kind: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"t{ending}"
    match kind:
        case "device":
            path.symlink_to("/dev/zero")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "socket":
            # By its name alone: the whole path may be too long for one.
            with chdir(tmp_path), socket.socket(socket.AF_UNIX) as opened:
                opened.bind(path.name)
    assert refused(path) == f": not a file but a {kind} (allowed: a file)"


def test_a_sparse_file_of_zeros_is_no_text(tmp_path: Path) -> None:
    for ending in (".csv", ".jsonl"):
        with (tmp_path / f"t{ending}").open("wb") as stream:
            stream.truncate(10**10)
        assert ": the file holds only zero bytes" in refused(tmp_path / f"t{ending}")


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".json", ".txt"])
def test_a_small_gzip_file_that_unpacks_to_very_much_is_refused(
    ending: str, tmp_path: Path
) -> None:
    path = tmp_path / f"t{ending}.gz"
    beginning = {".jsonl": b'{"text": "', ".json": b'[{"text": "'}.get(ending, b"text\n")
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(beginning)
        for _ in range(150):
            stream.write(b"x\n" * 500_000)
    assert "bytes and more" in refused(path)
