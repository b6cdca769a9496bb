"""Files of rows with named columns, read and written a part at a time: the ending is the format.

CSV as RFC 4180 has it. TSV as GLUE has it: a tab ends a field, a line end a row, and a quote is a
quote; tabs and line ends in what is written become \\t, \\n and \\r. In both a text that a
spreadsheet would run is written with an apostrophe in front. JSONL: an object a line. All three are
UTF-8. Parquet keeps its types. A .txt has no header: a row a line, a tab between texts.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from peftlab.core.errors import UnknownNameError, UserError, first_line
from peftlab.core.files import whole_file
from peftlab.core.words import counted
from peftlab.data.parquet_rows import parquet_rows
from peftlab.data.sheet_cells import inert
from peftlab.data.text_lines import (
    LONGEST_ROW,
    MOST_COLUMNS,
    Lines,
    require_file,
    require_header,
    text_lines,
)

Row = dict[str, Any]
Numbered = tuple[int, Row]
Write = Callable[[Sequence[Row]], None]

ROWS_PER_PART = 8192
NO_TEXT = re.compile("[\\ud800-\\udfff]")
LONG_LINE, MOST_VALUES = 1 << 20, 1 << 18
"""Characters of a line of JSON beyond which its values are counted, and how many it may have."""
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
A_LINE = "an object, {...}, on each line"
READABLE = (".csv", ".tsv", ".jsonl", ".parquet", ".txt")
WRITABLE = (".csv", ".tsv", ".jsonl", ".parquet")


def read_rows(
    path: Path, *, names: Sequence[str] = (), size: int = ROWS_PER_PART
) -> Iterator[list[Row]]:
    """The file's rows in their order, at most `size` at a time; `names` are a .txt's columns.

    Raises UserError, with file and line or row, where the file cannot be read as what its ending
    says, and where it has no rows.
    """
    for part in read_numbered(path, names=names, size=size):
        yield [row for _, row in part]


def read_numbered(
    path: Path, *, names: Sequence[str] = (), size: int = ROWS_PER_PART
) -> Iterator[list[Numbered]]:
    """The same rows, each with the number of its line, or in Parquet of its row, from 1."""
    try:
        if path.exists():
            require_file(path)
        kind = _ending(path, READABLE)
        rows = parquet_rows(path) if kind == ".parquet" else _text(path, kind, names)
        yield from _parts(rows, path, size)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot read the file: {reason}", where=str(path)) from error


@contextmanager
def row_writer(
    path: Path, columns: Mapping[str, type], like: Path | None = None
) -> Iterator[Write]:
    """A call that appends rows to the file, which is there at the end, whole, or not at all.

    `columns` are the names and the types of what is written; columns of the Parquet file `like`
    keep theirs in Parquet. Raises UserError for an ending that is no format, and for a place that
    is none.
    """
    kind = _ending(path, WRITABLE)
    if not path.parent.is_dir() or path.is_dir():
        reason = "Is a directory" if path.is_dir() else "No such file or directory"
        raise UserError(f"cannot write the file: {reason}", where=str(path))
    with whole_file(path) as stream:
        if kind == ".parquet":
            with _parquet_writer(stream, columns, like, str(path)) as write:
                yield write
        else:
            write = text_writer(kind, [*columns], lambda text: stream.write(text.encode()))
            write([])
            yield write


def text_writer(kind: str, columns: Sequence[str], put: Callable[[str], object]) -> Write:
    """A call that turns rows into text of the format and puts it; the first puts the header."""
    if kind == ".jsonl":

        def write_objects(rows: Sequence[Row]) -> None:
            put("".join(f"{_json(row)}\n" for row in rows))

        return write_objects
    headers: list[Row] = [dict(zip(columns, columns, strict=True))]

    def write(rows: Sequence[Row]) -> None:
        lines = [
            [_cell(row.get(name), quotes_are_text=kind == ".tsv") for name in columns]
            for row in (*headers, *rows)
        ]
        headers.clear()
        if kind == ".tsv":
            put("".join("\t".join(map(_field, line)) + "\n" for line in lines))
        else:
            csv.writer(_Sink(put)).writerows(lines)

    return write


class _Sink:
    """What csv writes to, a row at a time; it puts quotes around what its own line ends have, which
    are of two signs, and we of one."""

    def __init__(self, put: Callable[[str], object]) -> None:
        self._put = put

    def write(self, row: str) -> None:
        """Put the row."""
        self._put(row.removesuffix("\r\n") + "\n")


def _field(text: str) -> str:
    r"""The text as a field of a line.

    >>> print(_field("a\tb"))
    a\tb
    """
    return text.replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")


def _cell(value: Any, *, quotes_are_text: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return inert(value, quotes_are_text=quotes_are_text)
    return _json(value) if isinstance(value, list | dict) else str(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _ending(path: Path, known: Sequence[str]) -> str:
    kind = path.suffix.lower()
    if kind not in known:
        raise UserError(
            f"the ending '{kind}' is no format" if kind else "a file without an ending",
            where=str(path),
            allowed=", ".join(known),
        )
    return kind


def _text(path: Path, kind: str, names: Sequence[str]) -> Iterator[Numbered]:
    with text_lines(path) as lines:
        yield from _json_rows(lines, path) if kind == ".jsonl" else _lines(lines, path, kind, names)


def _parts(rows: Iterator[Numbered], path: Path, size: int) -> Iterator[list[Numbered]]:
    part: list[Numbered] = []
    has_any = False
    for row in rows:
        part.append(row)
        has_any = True
        if len(part) == size:
            yield part
            part = []
    if not has_any:
        raise UserError("the file has no rows", where=str(path))
    if part:
        yield part


def _lines(lines: Lines, path: Path, kind: str, names: Sequence[str]) -> Iterator[Numbered]:
    """The rows of a file whose first line names the columns, or of a .txt with these names."""
    records = _csv_records(lines, path) if kind == ".csv" else _tsv_records(lines)
    columns = [*names]
    if kind != ".txt":
        _, columns = next(records, (1, []))
        require_header(columns, kind, f"{path}:1")
    for number, fields in records:
        if len(fields) != len(columns):
            raise UserError(
                f"{counted(len(fields), 'field')} where there must be {len(columns)}",
                where=f"{path}:{number}",
                allowed=" | ".join(columns),
            )
        yield number, dict(zip(columns, fields, strict=True))


def _tsv_records(lines: Lines) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line."""
    for line in lines:
        lines.length = 0
        yield lines.number, line.removesuffix("\n").removesuffix("\r").split("\t")


def _csv_records(lines: Lines, path: Path) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(LONGEST_ROW)
    reader = csv.reader(lines, strict=True)
    while True:
        number, lines.length = reader.line_num + 1, 0
        try:
            fields = next(reader, None)
        except csv.Error as error:
            what, allowed = f"not a row of CSV: {error}", ""
            if "new-line" in str(error):
                what, allowed = "a row ends in \\r alone", "rows that end in \\n or \\r\\n"
            raise UserError(what, where=f"{path}:{number}", allowed=allowed) from error
        if fields is None:
            return
        if fields:  # csv gives none for an empty line
            yield number, fields


def _json_rows(lines: Lines, path: Path) -> Iterator[Numbered]:
    for line in lines:
        number, lines.length = lines.number, 0
        if not line.strip():
            continue
        if len(line) > LONG_LINE:
            num_values = (line.count('"') - line.count('\\"')) // 4  # of keys and texts alone
            if num_values <= MOST_VALUES:
                signs = STRING.sub("", line)
                num_values = signs.count(",") + signs.count("[") + signs.count("{")
            if num_values > MOST_VALUES:
                raise UserError(
                    f"{num_values:,} values and more", where=f"{path}:{number}",
                    allowed=f"at most {MOST_VALUES:,} in a row",
                )  # fmt: skip
        try:
            row = json.loads(line, object_pairs_hook=_object)
        except _KeyTwice as error:
            raise UserError(
                str(error), where=f"{path}:{number}", allowed="each key once in an object"
            ) from error
        except (ValueError, RecursionError) as error:
            raise _no_json(error, where=f"{path}:{number}") from error
        if "\\ud" in line.lower() and NO_TEXT.search(_json(row)):
            raise UserError("half of a UTF-16 pair is no text", where=f"{path}:{number}")
        if not isinstance(row, dict):
            raise UserError("not a JSON object", where=f"{path}:{number}", allowed=A_LINE)
        if len(row) > MOST_COLUMNS:
            raise UserError(
                f"{len(row):,} columns",
                where=f"{path}:{number}",
                allowed=f"at most {MOST_COLUMNS:,}",
            )
        yield number, row


def _no_json(error: Exception, *, where: str) -> UserError:
    """Return the error for a line that json cannot read, in words of ours where it has limits."""
    what, allowed = f"not JSON: {first_line(error)}", A_LINE
    if isinstance(error, RecursionError):
        what, allowed = "lists or objects lie too deep in one another", "fewer levels"
    elif not isinstance(error, json.JSONDecodeError):  # of int() alone
        what = "the row has a whole number without end"
        allowed = f"at most {sys.get_int_max_str_digits():,} digits"
    return UserError(what, where=where, allowed=allowed)


class _KeyTwice(ValueError):
    """What is JSON, and yet says two things of one key."""


def _object(pairs: list[tuple[str, Any]]) -> Row:
    """The object; _KeyTwice for a key that is there twice, of which one value would be lost."""
    row = dict(pairs)
    if len(row) < len(pairs):
        names = Counter(name for name, _ in pairs)
        raise _KeyTwice(f"the key '{names.most_common(1)[0][0][:60]}' is there twice")
    return row


@contextmanager
def _parquet_writer(
    stream: BinaryIO, columns: Mapping[str, type], like: Path | None, where: str
) -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        bool: pa.bool_(),
        int: pa.int64(),
        float: pa.float64(),
        list: pa.list_(pa.int64()),
    }
    schema = pa.schema([(name, types.get(kind, pa.string())) for name, kind in columns.items()])
    if like is not None and like.suffix.lower() == ".parquet":
        for field in pq.read_schema(like):
            place = schema.get_field_index(field.name)
            schema = schema.set(place, field) if place >= 0 else schema
    with pq.ParquetWriter(stream, schema) as writer:

        def write(rows: Sequence[Row]) -> None:
            values = [{name: row.get(name) for name in columns} for row in rows]
            try:
                writer.write_table(pa.Table.from_pylist(values, schema=schema))
            except (pa.ArrowException, ValueError, TypeError) as error:
                raise UserError(f"cannot write as Parquet: {first_line(error)}", where=where) from (
                    error
                )

        yield write


def require_columns(row: Row, names: Sequence[str], *, where: str) -> None:
    """UnknownNameError for a name that is no column of the row."""
    for name in names:
        if name not in row:
            raise UnknownNameError("column", name, row, where=where)
