"""The encoding of a text file: what its bytes say, or what is said of it and they do not deny.

A byte order mark tells; so do bytes that are UTF-8 from the first to the last. Anything else is an
older encoding, of which bytes tell nothing for sure. It is taken for Windows-1252 where that gives
words as the languages of western Europe have them, and refused where it does not, as for Cyrillic
or Chinese, for Polish, or for UTF-8 that is damaged. Of languages that have the same few letters
in other places, as Czech and Turkish, this cannot tell: what was taken is said.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TextIO

from peftlab.core.errors import UserError
from peftlab.data.file_bytes import opened, stamp_of

UTF8, WESTERN = "utf-8", "cp1252"
MARKS = (
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
"""The byte order marks and their encodings; UTF-32's comes first, since it begins like UTF-16's."""
BEGINNINGS = (
    (b"PK\x03\x04", "a ZIP archive or an .xlsx workbook"),
    (b"\xd0\xcf\x11\xe0", "an .xls workbook"),
    (b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"), (b"PAR1", "Parquet"), (b"ARROW1", "Arrow"),
    (b"SQLite format 3", "an SQLite database"),
)  # fmt: skip
HEAD, CHUNK = 4096, 1 << 20
SAY = "encoding: NAME in the study's data, or --encoding NAME of a command"

_UPPER, _LOWER = "À-ÖØ-ÞŠŒŽŸ", "ß-öø-ÿšœž"
_LETTERS = f"A-Za-z{_UPPER}{_LOWER}"
_SIGNS = "‚„†‡ˆ‰‹˜›¡¢£¤¥¦§¨©¬¯±²³´¶¸¹¼½¾¿×÷€ƒµ"
_BEYOND = "\\x80-\\U0010ffff"
IMPLAUSIBLE = (
    f"[{_LETTERS}][{_SIGNS}][{_LETTERS}]"  # a sign within a word: Polish, DOS
    f"|[{_UPPER}{_LOWER}][{_SIGNS}]"  # as UTF-8 looks
    f"|[a-z{_LOWER}][{_UPPER}]|[{_LETTERS}][‚„]"  # a capital within a word: Macintosh, DOS
    f"|(?=([{_UPPER}{_LOWER}]))(?!\\1{{3}})[{_UPPER}{_LOWER}]{{3}}"  # whole words: Cyrillic, Greek
    f"|(?=([{_BEYOND}]))(?!\\2{{4}})[{_BEYOND}]{{4}}"  # East Asia
    "|¤|[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f]"
)
WORD = f"[{_LETTERS}]*[{_UPPER}{_LOWER}][{_LETTERS}]*"
"""Patterns as text: most commands need neither, and to compile both takes longer than to import all
else here."""
ONE_BYTE = re.compile(r"cp125\d|cp(?:437|85\d|86\d)|iso8859-\d+|mac-\w+|koi8-\w")


def encoding_of(path: Path, said: str | None = None) -> str:
    """Return the encoding under Python's name for it; `said` is such a name.

    Raises UserError for what is no text, for bytes that no encoding can be told of, and where they
    tell of another one than that which is said.
    """
    with opened(path) as stream:
        head = stream.read(HEAD)
    _require_text(head, path)
    marked = next((name for mark, name in MARKS if head.startswith(mark)), None)
    if marked is not None:
        if said is not None and not said.startswith(marked):
            raise _otherwise(f"begins with the mark of {marked}", said, path)
        return marked
    if said in ("utf-16", "utf-32"):
        raise UserError(
            f"cannot read the file: it has no mark that says in which order bytes of {said} stand",
            where=str(path),
            allowed=f"encoding: {said}-le, or {said}-be",
        )
    if said is None and 4 * head.count(0) > len(head):
        raise _zeros(head, path)
    if said is not None and not ONE_BYTE.fullmatch(said):
        return said
    scan = _scan(path)
    if said is not None:
        if scan.is_utf8 and not scan.is_ascii:
            raise _otherwise("is UTF-8 text", said, path)
        return said
    if scan.is_utf8:
        return UTF8
    western = western_words(path)
    if western.is_plausible:
        return WESTERN
    raise not_text(path, UTF8, reading=western.example)


@dataclass(frozen=True, kw_only=True)
class Western:
    """The judgement on a file read as Windows-1252, with a word or the evidence against it."""

    is_plausible: bool
    example: str


def western_words(path: Path) -> Western:
    """Return the judgement on the file as read in Windows-1252."""
    return _western_words(path, stamp_of(path))


@lru_cache(maxsize=16)
def _western_words(path: Path, stamp: tuple[int, int]) -> Western:
    example, rest = "", ""
    try:
        for text in _texts(path, WESTERN):
            text = rest + text
            if wrong := re.search(IMPLAUSIBLE, text):
                position = wrong.start()
                return Western(
                    is_plausible=False, example=text[max(0, position - 10) : position + 10]
                )
            if not example and (word := re.search(WORD, text)):
                example = word[0][:40]
            rest = text[-8:]
    except UnicodeDecodeError:
        return Western(is_plausible=False, example="")
    return Western(is_plausible=True, example=example)


def not_text(path: Path, encoding: str, *, reading: str = "") -> UserError:
    """Return the error for the first line that is not in the encoding, found by reading again."""
    number, byte = 1, None
    try:
        for text in _texts(path, encoding, size=1 << 12):
            number += text.count("\n")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        number += before.decode(encoding, "ignore").count("\n")
        byte = error.object[error.start] if error.start < len(error.object) else None
    name = "UTF-8" if encoding == UTF8 else encoding
    shown = "" if byte is None else f" (byte 0x{byte:02X})"
    more = ""
    if encoding == UTF8:
        more = "; it seems to be damaged, or in an older encoding"
        if reading:
            more += f", though Windows-1252 would give {' '.join(reading.split())!r}"
    return UserError(
        f"cannot read the file: not {name} text at line {number:,}{shown}{more}",
        where=str(path),
        allowed=f"UTF-8 text, or {SAY}",
    )


@dataclass(frozen=True, kw_only=True)
class _Scan:
    is_utf8: bool
    is_ascii: bool


def _scan(path: Path) -> _Scan:
    """Return whether the whole file is UTF-8, and whether its UTF-8 part is all ASCII."""
    is_ascii = True
    try:
        for text in _texts(path, UTF8):
            is_ascii = is_ascii and text.isascii()
    except UnicodeDecodeError:
        return _Scan(is_utf8=False, is_ascii=is_ascii)
    return _Scan(is_utf8=True, is_ascii=is_ascii)


def _texts(path: Path, encoding: str, *, size: int = CHUNK) -> Iterator[str]:
    """Yield the file's text in chunks; raise UnicodeDecodeError if it is not in the encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    with opened(path) as stream:
        while chunk := stream.read(size):
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)


@contextmanager
def opened_text(path: Path, encoding: str) -> Iterator[TextIO]:
    """Open the file as text in the encoding, without a byte order mark; only \\n ends a line."""
    name = "utf-8-sig" if encoding == UTF8 else encoding
    with opened(path) as binary, io.TextIOWrapper(binary, encoding=name, newline="\n") as stream:
        yield stream


def _require_text(head: bytes, path: Path) -> None:
    for beginning, words in BEGINNINGS:
        if head.startswith(beginning):
            raise UserError(
                f"cannot read the file: it is not text; it seems to be {words}",
                where=str(path),
                allowed="text, or a name that ends as the format says",
            )
    if head and head.count(0) == len(head):
        raise UserError("the file holds only zero bytes", where=str(path), allowed="text")


def _zeros(head: bytes, path: Path) -> UserError:
    """Return the error for text that is full of zero bytes and has no byte order mark."""
    evens, odds = head[::2].count(0), head[1::2].count(0)
    if 0 not in (evens, odds):
        wide = "utf-32-le" if head[:1] != b"\0" else "utf-32-be"
        is_wide = 2 * head.count(0) > len(head)
        guess = f"; it seems to be {wide.upper()}" if is_wide else ""
        return UserError(
            f"the file holds only zero bytes{guess}",
            where=str(path),
            allowed=f"text, or {SAY}",
        )
    name = "utf-16-le" if evens == 0 else "utf-16-be"
    return UserError(
        f"cannot read the file: not UTF-8 text; it seems to be {name.upper()} without a mark",
        where=str(path),
        allowed=f"encoding: {name} in the study's data, or --encoding {name} of a command",
    )


def _otherwise(what: str, said: str, path: Path) -> UserError:
    return UserError(
        f"the file {what}, and the encoding is said to be {said}",
        where=str(path),
        allowed="no encoding: it is then found in the file",
    )
