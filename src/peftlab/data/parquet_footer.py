"""The facts that a Parquet file gives on its columns before unpacking, read without pyarrow.

pyarrow's own view of the chunks ends the process where a footer is damaged. Footer and headers of
pages are structures of Thrift's compact protocol; the numbers of their fields are those of
parquet.thrift (https://github.com/apache/parquet-format).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

MAGIC = b"PAR1"
LARGEST_FOOTER, LARGEST_HEADER = 1 << 23, 1 << 16
DEEPEST = 20
BYTE_ARRAY = 6
DICTIONARY_PAGE = 2
REPEATING = frozenset({2, 7, 8})
"""The encodings in which a value may take fewer bytes than it has: two of a dictionary, and
DELTA_BYTE_ARRAY, in which it may repeat the beginning of the one before."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A column in a group of rows: its values, what it unpacks to, and how long a text may be that
    stands in it many times at hardly a byte each (0: there can be none)."""

    num_values: int
    unpacked: int
    longest_repeated: int


@dataclass(frozen=True, kw_only=True)
class Footer:
    """The rows, the names of the columns, how many leaves they have, and the chunks by group."""

    num_rows: int
    columns: Sequence[str]
    groups: Sequence[Sequence[Chunk]]


def read_footer(stream: BinaryIO, size: int) -> Footer:
    """Return the footer of a file of that size; raise ValueError if it is missing or damaged."""
    stream.seek(max(0, size - 8))
    tail = stream.read(8)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != MAGIC or length > size - 12:
        raise ValueError("there is no footer at its end")
    if length > LARGEST_FOOTER:
        raise ValueError(f"a footer of {length:,} bytes, where {LARGEST_FOOTER:,} are the most")
    stream.seek(size - 8 - length)
    try:
        found = _CompactReader(stream.read(length)).structure()
        return Footer(
            num_rows=int(found[3]),
            columns=_columns(found[2]),
            groups=[[_chunk(one, stream) for one in group[1]] for group in found[4]],
        )
    except (LookupError, TypeError, AttributeError, struct.error) as error:
        raise ValueError("its footer is damaged") from error


def _columns(schema: list[dict[int, Any]]) -> list[str]:
    """Return the names of the columns: the elements that hang on the root of the schema."""
    names: list[str] = []
    inner = 0
    for element in schema[1:]:
        children = int(element.get(5, 0))
        if children < 0:
            raise LookupError("fewer children than none")
        if inner:
            inner -= 1
        else:
            names.append(bytes(element[4]).decode("utf-8", "replace"))
        inner += children
    return names


def _chunk(found: dict[int, Any], stream: BinaryIO) -> Chunk:
    column = found[3]
    unpacked = int(column[6])
    longest = 0
    if column[1] == BYTE_ARRAY and REPEATING.intersection(column[2]):
        longest = unpacked
        if 7 not in column[2]:
            starts = [int(column[key]) for key in (9, 11) if int(column.get(key, 0)) > 0]
            longest = _dictionary(stream, min(starts), otherwise=unpacked)
    return Chunk(num_values=int(column[5]), unpacked=unpacked, longest_repeated=longest)


def _dictionary(stream: BinaryIO, start: int, *, otherwise: int) -> int:
    """Return the bytes of the dictionary page that starts there."""
    stream.seek(start)
    header = _CompactReader(stream.read(LARGEST_HEADER)).structure()
    return int(header[2]) if header[1] == DICTIONARY_PAGE else otherwise


class _CompactReader:
    """A reader of Thrift's compact protocol; it raises IndexError at the end of the data."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0
        self._depth = 0

    def structure(self) -> dict[int, Any]:
        """Return the fields of a structure by their numbers."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise LookupError("nested too deep")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind)
        self._depth -= 1
        return fields

    def _value(self, kind: int) -> Any:
        match kind:
            case 1 | 2:  # in a list, where the value is a byte of its own
                return self._byte() == 1
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._integer()
            case 7:
                return struct.unpack("<d", self._bytes(8))[0]
            case 8:
                return self._bytes(self._unsigned())
            case 9 | 10:
                head = self._byte()
                length = self._unsigned() if head >> 4 == 15 else head >> 4
                return [self._value(head & 15) for _ in range(length)]
            case 12:
                return self.structure()
        raise LookupError(f"no type has the number {kind}")

    def _byte(self) -> int:
        byte = self._data[self._place]
        self._place += 1
        return byte

    def _bytes(self, length: int) -> bytes:
        found = self._data[self._place : self._place + length]
        if len(found) < length:
            raise IndexError("the data end")
        self._place += length
        return found

    def _unsigned(self) -> int:
        number = shift = 0
        while (byte := self._byte()) & 128:
            number |= (byte & 127) << shift
            shift += 7
            if shift > 63:
                raise LookupError("a number of more than 64 bits")
        return number | byte << shift

    def _integer(self) -> int:
        number = self._unsigned()
        return (number >> 1) ^ -(number & 1)
