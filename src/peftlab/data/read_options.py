"""The options for reading a table file: given by the user, or found in its bytes."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from peftlab.core.errors import UserError
from peftlab.data.encodings import UTF8, WESTERN, encoding_of, western_words
from peftlab.data.field_separators import COMMA, separator_of
from peftlab.data.file_bytes import format_of, required_format, stamp_of
from peftlab.data.workbook_rows import sheet_of

NO_SEPARATORS = frozenset('"\r\n\0')
NO_CHARSETS = frozenset({"idna", "punycode", "undefined", "utf-7", "mbcs", "oem"})
"""The codecs that Python counts among text encodings, but in which no table is written."""


USED_BY = {"sep": "a .csv", "encoding": "a file of text", "sheet": "an .xlsx"}


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """The options by which a file is read, under pandas's names; None: as its bytes say.

    `sep` is what stands between the fields of a .csv, `encoding` the name of a text's, `sheet` the
    name of a workbook's. A file of another format is not asked.
    """

    sep: str | None = None
    encoding: str | None = None
    sheet: str | None = None

    @property
    def given(self) -> dict[str, str]:
        """The options that are given, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


AS_FOUND = ReadOptions()


def check_sep(sep: str) -> str:
    """Return the separator; raise ValueError if it cannot be one.

    >>> check_sep(";")
    ';'
    """
    if len(sep) != 1 or sep in NO_SEPARATORS:
        raise ValueError(
            f"{sep[:20]!r} is not a separator, which is one character such as ';' or '\\t'"
        )
    return sep


def check_encoding(encoding: str) -> str:
    """Return Python's name for the encoding; raise ValueError if there is none of that name.

    >>> check_encoding("Windows-1252"), check_encoding("UTF8")
    ('cp1252', 'utf-8')
    """
    try:
        found = codecs.lookup(encoding)
    except (LookupError, ValueError):
        found = None
    is_text = found is not None and found._is_text_encoding  # as open() itself asks
    if found is None or not is_text or found.name in NO_CHARSETS or "escape" in found.name:
        raise ValueError(f"{encoding[:40]!r} is not an encoding such as utf-8, utf-16 or cp1252")
    return UTF8 if found.name == "utf-8-sig" else found.name


def checked_options(options: ReadOptions) -> ReadOptions:
    """Return the options of a command, checked; raise UserError for an invalid value."""
    try:
        return ReadOptions(
            sep=None if options.sep is None else check_sep(options.sep),
            encoding=None if options.encoding is None else check_encoding(options.encoding),
            sheet=options.sheet,
        )
    except ValueError as error:
        raise UserError(str(error)) from error


def require_effect(options: ReadOptions, path: Path) -> None:
    """Raise UserError for an option that does not apply to a file of that format."""
    for name in options.given:
        if not is_used(name, path):
            raise UserError(
                f"'{name}' does not apply to this file",
                where=str(path),
                allowed=USED_BY[name],
            )


def is_used(name: str, path: Path | str) -> bool:
    """Return whether the option of that name applies to a file of that format."""
    found = format_of(path)
    if name == "encoding":
        return found.is_text
    return found.ending == {"sep": ".csv", "sheet": ".xlsx"}[name]


def read_options(path: Path, said: ReadOptions = AS_FOUND) -> ReadOptions:
    """Return the options that the file's format needs, found in the file if they are not given.

    What is found is a function of the file's bytes. Raises UserError where they leave it open, and
    where they say something else.
    """
    return _read_options(path, said, stamp_of(path))


@lru_cache(maxsize=64)
def _read_options(path: Path, said: ReadOptions, stamp: tuple[int, int]) -> ReadOptions:
    found = required_format(path)
    if found.ending == ".xlsx":
        return ReadOptions(sheet=sheet_of(path, said.sheet))
    if not found.is_text:
        return AS_FOUND
    encoding = encoding_of(path, said.encoding)
    sep = separator_of(path, encoding, said.sep) if found.ending == ".csv" else None
    return ReadOptions(sep=sep, encoding=encoding)


def guessed_example(path: Path, said: ReadOptions = AS_FOUND) -> str | None:
    """Return a word of a file whose encoding was guessed; None if it was not, or has no such word.

    What is guessed is Windows-1252.
    """
    if said.encoding is not None or not path.is_file():
        return None
    return western_words(path).example if read_options(path, said).encoding == WESTERN else None


def unusual(options: ReadOptions) -> dict[str, str]:
    """Return the options that differ from what the file's ending implies.

    >>> unusual(ReadOptions(sep=",", encoding="utf-8")), unusual(ReadOptions(sep=";"))
    ({}, {'sep': ';'})
    """
    usual = {"sep": COMMA, "encoding": UTF8}
    return {name: one for name, one in options.given.items() if one != usual.get(name)}


def found_out(paths: Mapping[str, str | None], said: ReadOptions) -> dict[str, dict[str, str]]:
    """Return what was found in files, by their names, that is neither said nor usual.

    The first sheet of a workbook is what everyone expects.
    """
    found = {
        name: {
            option: value
            for option, value in unusual(read_options(Path(path), said)).items()
            if option not in said.given and option != "sheet"
        }
        for name, path in paths.items()
        if path is not None
    }
    return {name: options for name, options in found.items() if options}
