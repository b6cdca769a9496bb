"""Rows of a Parquet file, whose few bytes may unpack to more than memory holds: looked at first.

What it unpacks to is told by its footer. Where one text may stand for many rows (a dictionary), so
few rows are unpacked at a time that even the longest one in each would fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from peftlab.core.errors import UserError, first_line
from peftlab.core.words import counted
from peftlab.data.file_bytes import no_rows
from peftlab.data.parquet_footer import Chunk, Footer, read_footer
from peftlab.data.text_lines import LONGEST_ROW, MOST_COLUMNS, require_different
from peftlab.data.unpacking import require_room, require_rows, require_values

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BYTES_AT_ONCE, ROWS_AT_ONCE = 1 << 26, 8192


def parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each row with its number from 1.

    Raises UserError for what is no Parquet file, for a column that appears twice, and for what
    unpacks to much more than a file of that size holds.
    """
    import pyarrow as pa

    with path.open("rb") as stream:
        try:
            opened = _opened(stream, path)
            promised, number = opened.file.metadata.num_rows, 0
            if promised == 0:
                raise no_rows(path)
            for batch in _batches(opened, path):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
            if number != promised:
                raise ValueError(f"{counted(number, 'row')} where its footer says {promised:,}")
        except (pa.ArrowException, ValueError, OSError) as error:
            raise UserError(f"not a Parquet file: {first_line(error)}", where=str(path)) from error


def parquet_metadata(path: Path) -> Mapping[bytes, bytes]:
    """Return the metadata of a file's schema; raise UserError if it is not a Parquet file."""
    import pyarrow as pa

    with path.open("rb") as stream:
        try:
            return _opened(stream, path).file.schema_arrow.metadata or {}
        except (pa.ArrowException, ValueError, OSError) as error:
            raise UserError(f"not a Parquet file: {first_line(error)}", where=str(path)) from error


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """An open file, and how many rows of each of its groups are read at a time."""

    file: pq.ParquetFile
    size: int
    rows_at_once: list[int]


def _opened(stream: BinaryIO, path: Path) -> _Opened:
    """Open the file once its footer is checked; texts in lists are read as a dictionary."""
    import pyarrow.parquet as pq

    size = path.stat().st_size
    footer = read_footer(stream, size)
    _require_bounded(footer, size, path)
    stream.seek(0)
    metadata = pq.read_metadata(stream)
    leaves = [metadata.schema.column(index) for index in range(metadata.num_columns)]
    inner = [
        leaf.path for leaf in leaves
        if leaf.max_repetition_level and leaf.physical_type == "BYTE_ARRAY"
    ]  # fmt: skip
    stream.seek(0)
    return _Opened(
        file=pq.ParquetFile(stream, metadata=metadata, read_dictionary=inner),
        size=size,
        rows_at_once=[_rows_at_once(group) for group in footer.groups],
    )


def _require_bounded(footer: Footer, size: int, path: Path) -> None:
    num_leaves = max((len(group) for group in footer.groups), default=0)
    num_columns = max(num_leaves, len(footer.columns))
    if num_columns > MOST_COLUMNS:
        raise UserError(
            f"{num_columns:,} columns", where=str(path), allowed=f"at most {MOST_COLUMNS:,}"
        )
    require_different(footer.columns, str(path))
    require_rows(footer.num_rows, size, path)
    chunks = [chunk for group in footer.groups for chunk in group]
    for chunk in chunks:
        require_values(chunk.num_values, size, path, of=" in a column")
    require_room(sum(chunk.unpacked for chunk in chunks), size, path)


def _rows_at_once(group: Sequence[Chunk]) -> int:
    """Return how many rows fit into BYTES_AT_ONCE, even if each has the longest repeated text."""
    longest = sum(chunk.longest_repeated for chunk in group)
    return min(ROWS_AT_ONCE, max(1, BYTES_AT_ONCE // max(1, longest)))


def _batches(opened: _Opened, path: Path) -> Iterator[pa.RecordBatch]:
    unpacked = 0
    for group, num_rows in enumerate(opened.rows_at_once):
        for batch in opened.file.iter_batches(batch_size=num_rows, row_groups=[group]):
            for column in batch.columns:
                unpacked += _unpacked(column)
                require_room(unpacked, opened.size, path)
                _require_short(column, path)
            yield batch


def _unpacked(column: pa.Array) -> int:
    """Return the bytes of the column as Python gets it, each value written out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.DictionaryArray):
        lengths = pc.binary_length(column.dictionary)
        return int(pc.sum(lengths.take(column.indices.drop_null())).as_py() or 0)
    if isinstance(column, pa.ListArray | pa.LargeListArray):
        return 8 * len(column) + _unpacked(column.flatten())
    if isinstance(column, pa.StructArray):
        return sum(map(_unpacked, column.flatten()))
    return int(column.nbytes)


def _require_short(column: pa.Array, path: Path) -> None:
    """Raise UserError for a text of more than LONGEST_ROW bytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)
    if any(is_kind(column.type) for is_kind in kinds):
        longest = pc.max(pc.binary_length(column)).as_py() or 0
        if longest > LONGEST_ROW:
            raise UserError(
                f"a text of {longest:,} bytes", where=str(path), allowed=f"at most {LONGEST_ROW:,}"
            )
