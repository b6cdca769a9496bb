"""Files of rows with named columns, read and written a part at a time: the ending is the format.

CSV as RFC 4180 has it, whatever the separator. TSV as GLUE has it: a tab ends a field, a line end
a row, and a quote is a quote; tabs and line ends in what is written become \\t, \\n and \\r. In
both a text that a spreadsheet would run is written with an apostrophe in front. JSONL: an object a
line; JSON: an array of objects. All of them are written in UTF-8, and read in the encoding that
data/read_options.py finds. Parquet keeps its types. A .txt has no header: a row a line, a tab
between texts. Of a workbook a sheet is read.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from peftlab.core.errors import UnknownNameError, UserError, first_line
from peftlab.core.files import whole_file
from peftlab.core.words import counted
from peftlab.data.field_separators import said_by_excel
from peftlab.data.file_bytes import WRITABLE, format_of, no_rows, require_file, required_format
from peftlab.data.json_rows import json_text, rows_of_array, rows_of_lines
from peftlab.data.parquet_rows import parquet_rows
from peftlab.data.read_options import AS_FOUND, ReadOptions, read_options
from peftlab.data.sheet_cells import inert
from peftlab.data.text_lines import LONGEST_ROW, Lines, require_header, text_lines
from peftlab.data.workbook_rows import workbook_rows

Row = dict[str, Any]
Numbered = tuple[int, Row]
Write = Callable[[Sequence[Row]], None]

ROWS_PER_PART = 8192


def read_rows(
    path: Path,
    *,
    names: Sequence[str] = (),
    size: int = ROWS_PER_PART,
    options: ReadOptions = AS_FOUND,
) -> Iterator[list[Row]]:
    """Yield the file's rows in their order, at most `size` at a time; `names` are a .txt's columns.

    Raises UserError, with file and line or row, where the file cannot be read as what its ending
    and the options say, and where it has no rows.
    """
    for part in read_numbered(path, names=names, size=size, options=options):
        yield [row for _, row in part]


def read_numbered(
    path: Path,
    *,
    names: Sequence[str] = (),
    size: int = ROWS_PER_PART,
    options: ReadOptions = AS_FOUND,
) -> Iterator[list[Numbered]]:
    """Yield the same rows, each with the number of its line, or of its row, from 1.

    A row has a number of its own in Parquet, in a workbook, and in a JSON array on one line.
    """
    try:
        if path.exists():
            require_file(path)
        required_format(path)
        yield from _parts(_rows(path, names, read_options(path, options)), path, size)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot read the file: {reason}", where=str(path)) from error


@contextmanager
def row_writer(
    path: Path, columns: Mapping[str, type], like: Path | None = None
) -> Iterator[Write]:
    """Yield a function that appends rows to the file, which exists at the end as a whole or not at
    all.

    `columns` are the names and the types of what is written; columns of the Parquet file `like`
    keep theirs in Parquet. Raises UserError for an unknown format, and for a place that
    is none.
    """
    kind = required_format(path, WRITABLE).ending
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
    """Return a function that writes rows as text of the format; its first call writes the
    header."""
    if kind == ".jsonl":

        def write_objects(rows: Sequence[Row]) -> None:
            put("".join(f"{json_text(row)}\n" for row in rows))

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
    """A target to which csv writes one row at a time.

    It puts quotes around what its own line ends have, which are of two signs, and ours of one.
    """

    def __init__(self, put: Callable[[str], object]) -> None:
        self._put = put

    def write(self, row: str) -> None:
        """Write the row."""
        self._put(row.removesuffix("\r\n") + "\n")


def _field(text: str) -> str:
    r"""Return the text as a field of a line.

    >>> print(_field("a\tb"))
    a\tb
    """
    return text.replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")


def _cell(value: Any, *, quotes_are_text: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return inert(value, quotes_are_text=quotes_are_text)
    return json_text(value) if isinstance(value, list | dict) else str(value)


def _rows(path: Path, names: Sequence[str], options: ReadOptions) -> Iterator[Numbered]:
    match format_of(path).ending:
        case ".parquet":
            yield from parquet_rows(path)
        case ".xlsx":
            yield from workbook_rows(path, options.sheet or "")
        case ".json":
            yield from rows_of_array(path, options.encoding or "")
        case ending:
            with text_lines(path, options.encoding or "") as lines:
                if ending == ".jsonl":
                    yield from rows_of_lines(lines, path)
                else:
                    yield from _lines(lines, path, ending, names, options.sep or "")


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
        raise no_rows(path)
    if part:
        yield part


def _lines(
    lines: Lines, path: Path, kind: str, names: Sequence[str], sep: str
) -> Iterator[Numbered]:
    """Yield the rows of a file whose header names the columns, or of a .txt with these names."""
    records = _csv_records(lines, path, sep) if kind == ".csv" else _tsv_records(lines)
    columns = [*names]
    if kind != ".txt":
        number, columns = next(records, (1, []))
        if kind == ".csv" and said_by_excel(sep.join(columns)) == sep:
            number, columns = next(records, (1, []))
        require_header(columns, kind, f"{path}:{number}")
    for number, fields in records:
        if len(fields) != len(columns):
            raise UserError(
                f"{counted(len(fields), 'field')} where there must be {len(columns)}",
                where=f"{path}:{number}",
                allowed=" | ".join(columns),
            )
        yield number, dict(zip(columns, fields, strict=True))


def _tsv_records(lines: Lines) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of each line."""
    for line in lines:
        lines.length = 0
        yield lines.number, line.removesuffix("\n").removesuffix("\r").split("\t")


def _csv_records(lines: Lines, path: Path, sep: str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(LONGEST_ROW)
    reader = csv.reader(lines, delimiter=sep, strict=True)
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
    if like is not None and format_of(like).ending == ".parquet":
        for field in pq.read_schema(like):
            index = schema.get_field_index(field.name)
            schema = schema.set(index, field) if index >= 0 else schema
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
    """Raise UnknownNameError if a name is not a column of the row."""
    for name in names:
        if name not in row:
            raise UnknownNameError("column", name, row, where=where)
