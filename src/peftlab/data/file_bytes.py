"""The format that a file's name gives, and the file's bytes, unpacked if the name ends in .gz."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISBLK, S_ISCHR, S_ISDIR, S_ISFIFO, S_ISREG, S_ISSOCK
from typing import BinaryIO

from peftlab.core.errors import UserError, first_line
from peftlab.data.unpacking import require_room

KINDS = (
    (S_ISDIR, "a folder"), (S_ISFIFO, "a pipe"), (S_ISSOCK, "a socket"),
    (S_ISCHR, "a device"), (S_ISBLK, "a device"),
)  # fmt: skip
GZIP = ".gz"
TEXTS = (".csv", ".tsv", ".jsonl", ".json", ".txt")
"""The formats that are text: they may be in another encoding, and packed."""
READABLE = (*TEXTS[:4], ".xlsx", ".parquet", ".txt")
WRITABLE = (".csv", ".tsv", ".jsonl", ".parquet")


def stamp_of(path: Path) -> tuple[int, int]:
    """Return the file's time of change and its size; one of them changes when the file does."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format, as a file's name gives it; `ending` is in small letters and leaves out .gz."""

    ending: str
    is_gzip: bool = False

    @property
    def is_text(self) -> bool:
        """Whether the format is text and so has an encoding."""
        return self.ending in TEXTS


def format_of(path: Path | str) -> Format:
    """Return the format that the name gives, whether or not it can be read.

    >>> format_of("Reviews.CSV.gz"), format_of("a.parquet").is_text
    (Format(ending='.csv', is_gzip=True), False)
    """
    file = Path(path)
    ending = file.suffix.lower()
    if ending != GZIP:
        return Format(ending=ending)
    return Format(ending=Path(file.stem).suffix.lower(), is_gzip=True)


def required_format(path: Path, known: Sequence[str] = READABLE) -> Format:
    """Return the format; raise UserError if it is unknown, or cannot be packed."""
    found = format_of(path)
    packed = f"; a text format also packed, as .csv{GZIP}" if known is READABLE else ""
    if found.ending not in known or (found.is_gzip and not (packed and found.is_text)):
        shown = path.suffix.lower() if not found.is_gzip else f"{found.ending}{GZIP}"
        raise UserError(
            f"the ending '{shown}' is not a known format" if shown else "a file without an ending",
            where=str(path),
            allowed=", ".join(known) + packed,
        )
    return found


def require_file(path: Path) -> None:
    """Raise UserError for anything but a regular file: a device or a pipe may have no end."""
    mode = path.stat().st_mode
    if not S_ISREG(mode):
        kind = next((words for is_kind, words in KINDS if is_kind(mode)), "something else")
        raise UserError(f"not a file but {kind}", where=str(path), allowed="a file")


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open the file's bytes for reading, unpacked where its name ends in .gz.

    Reading raises UserError where they are no gzip, and where they unpack to much more than a file
    of that size holds.
    """
    with path.open("rb") as stream:
        if not format_of(path).is_gzip:
            yield stream
            return
        with gzip.GzipFile(fileobj=stream) as unpacked:
            yield io.BufferedReader(_Bounded(unpacked, path), 1 << 17)


def no_rows(path: Path) -> UserError:
    """Return the error for a file without rows, which says whether it is empty altogether."""
    with opened(path) as stream:
        is_empty = not stream.read(1)
    return UserError("the file is empty" if is_empty else "the file has no rows", where=str(path))


def content_sha256(path: Path) -> str:
    """Return the SHA-256 of the bytes, unpacked, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with opened(path) as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


class _Bounded(io.RawIOBase):
    """The bytes that a gzip file unpacks to, up to a number in proportion to its size."""

    def __init__(self, unpacked: gzip.GzipFile, path: Path) -> None:
        self._unpacked = unpacked
        self._path = path
        self._size = path.stat().st_size
        self._num_read = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer; return the number of bytes."""
        try:
            chunk = self._unpacked.read(len(buffer))
        except (EOFError, OSError, zlib.error) as error:
            raise UserError(
                f"cannot read the file: not gzip: {first_line(error)}", where=str(self._path)
            ) from error
        self._num_read += len(chunk)
        require_room(self._num_read, self._size, self._path)
        buffer[: len(chunk)] = chunk
        return len(chunk)
