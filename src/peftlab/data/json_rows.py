"""Rows of JSON: an object on each line, or an array of objects, each bounded before it is read."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peftlab.core.errors import UserError, first_line
from peftlab.data.encodings import not_text, opened_text
from peftlab.data.text_lines import LONGEST_ROW, MOST_COLUMNS, Lines

NO_TEXT = re.compile("[\\ud800-\\udfff]")
LONG_ROW, MOST_VALUES = 1 << 20, 1 << 18
"""The characters of a row beyond which its values are counted, and the most values."""
MOST_CHARACTERS, AT_ONCE = 1 << 30, 1 << 20
"""The most characters of an array, which becomes one text, and how many are read at a time."""
STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
A_LINE = "an object, {...}, on each line"
AN_ARRAY = "an array of objects, [{...}, {...}], as pandas's to_json(orient='records') writes it"
_BLANK = re.compile(r"[ \t\r\n]*")
_BRACKET = re.compile(STRING.pattern + r"|[][{}]", re.DOTALL)


def rows_of_lines(lines: Lines, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the object on each line that is not empty, with the line's number."""
    for line in lines:
        number, lines.length = lines.number, 0
        if line.strip():
            yield number, _row(line, f"{path}:{number}", A_LINE)


def rows_of_array(path: Path, encoding: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of the file's array, each with the line on which it begins.

    Where the whole array is one line, each has its own number instead, from 1.
    """
    try:
        with opened_text(path, encoding) as stream:
            parts, num_characters = [], 0
            while num_characters <= MOST_CHARACTERS and (part := stream.read(AT_ONCE)):
                parts.append(part)
                num_characters += len(part)
    except UnicodeDecodeError as error:
        raise not_text(path, encoding) from error
    text = "".join(parts)
    if num_characters > MOST_CHARACTERS:
        raise UserError(
            f"more than {MOST_CHARACTERS:,} characters of JSON", where=str(path),
            allowed="a .jsonl of that size, with an object a line",
        )  # fmt: skip
    is_one_line, number = _is_one_line(text), 1
    for row, element in enumerate(_parts(text, path), start=1):
        number = row if is_one_line else number + text.count("\n", element.after, element.start)
        yield number, _row(text[element.start : element.end], f"{path}:{number}", AN_ARRAY)
        number += text.count("\n", element.start, element.end)


@dataclass(frozen=True)
class _Element:
    """The beginning and the end of an array's element, and the end of the one before it."""

    after: int
    start: int
    end: int


def _parts(text: str, path: Path) -> Iterator[_Element]:
    """Yield the places of the elements; raise UserError if it is not an array of objects."""
    position = _after_blanks(text, 0)
    if text[position : position + 1] == "{":
        raise UserError(
            "one object instead of an array of rows", where=f"{path}:1",
            allowed=f"{AN_ARRAY}; {A_LINE} of a .jsonl",
        )  # fmt: skip
    if position == len(text):
        return
    if text[position] != "[":
        raise UserError("not an array of JSON", where=f"{path}:1", allowed=AN_ARRAY)
    after, row, position = 0, 1, _after_blanks(text, position + 1)
    while text[position : position + 1] != "]" or after:
        if text[position : position + 1] != "{":
            raise _at(text, position, row, path, "not a JSON object")
        end = _end_of_object(text, position, row, path)
        yield _Element(after, position, end)
        after = end
        position = _after_blanks(text, end)
        if text[position : position + 1] == "]":
            break
        if text[position : position + 1] != ",":
            what = "the array does not end" if position == len(text) else "no comma between objects"
            raise _at(text, position, row, path, what)
        row, position = row + 1, _after_blanks(text, position + 1)
    rest = _after_blanks(text, position + 1)
    if rest < len(text):
        raise _at(text, rest, row, path, "there is more after the end of the array")


def _end_of_object(text: str, start: int, row: int, path: Path) -> int:
    """Return the end of the object that begins there; raise UserError if it has no end."""
    depth, position = 0, start
    while sign := _BRACKET.search(text, position, start + LONGEST_ROW + 1):
        position = sign.end()
        if sign[0] in "{[":
            depth += 1
        elif sign[0] in "}]":
            depth -= 1
            if depth == 0:
                return position
    if len(text) - start > LONGEST_ROW:
        raise _at(text, start, row, path, f"a row of more than {LONGEST_ROW:,} characters")
    raise _at(text, start, row, path, "the object does not end")


def _after_blanks(text: str, position: int) -> int:
    found = _BLANK.match(text, position)
    return position if found is None else found.end()


def _is_one_line(text: str) -> bool:
    return "\n" not in text.strip()


def _at(text: str, position: int, row: int, path: Path, what: str) -> UserError:
    """Return the error at that line, or at that row if the whole array is one line."""
    number = row if _is_one_line(text) else text.count("\n", 0, position) + 1
    return UserError(what, where=f"{path}:{number}", allowed=AN_ARRAY)


def _row(text: str, where: str, allowed: str) -> dict[str, Any]:
    """Return the object that the text holds; raise UserError if it is none, or too large."""
    if len(text) > LONG_ROW:
        num_values = (text.count('"') - text.count('\\"')) // 4  # of keys and texts alone
        if num_values <= MOST_VALUES:
            signs = STRING.sub("", text)
            num_values = signs.count(",") + signs.count("[") + signs.count("{")
        if num_values > MOST_VALUES:
            raise UserError(
                f"{num_values:,} values and more", where=where,
                allowed=f"at most {MOST_VALUES:,} in a row",
            )  # fmt: skip
    try:
        row = json.loads(text, object_pairs_hook=_object)
    except _KeyTwice as error:
        raise UserError(str(error), where=where, allowed="each key once in an object") from error
    except (ValueError, RecursionError) as error:
        raise _no_json(error, where, allowed) from error
    if "\\ud" in text.lower() and NO_TEXT.search(json_text(row)):
        raise UserError("half of a UTF-16 pair is not text", where=where)
    if not isinstance(row, dict):
        raise UserError("not a JSON object", where=where, allowed=allowed)
    if len(row) > MOST_COLUMNS:
        raise UserError(
            f"{len(row):,} columns",
            where=where,
            allowed=f"at most {MOST_COLUMNS:,}",
        )
    return row


def json_text(value: Any) -> str:
    """Return the value as JSON on one line; values that JSON lacks become text."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _no_json(error: Exception, where: str, allowed: str) -> UserError:
    """Return the error for a text that json cannot read, in our words for its limits."""
    what = f"not JSON: {first_line(error)}"
    if isinstance(error, RecursionError):
        what, allowed = "lists or objects are nested too deeply", "fewer levels"
    elif not isinstance(error, json.JSONDecodeError):  # of int() alone
        what = "the row has a whole number without end"
        allowed = f"at most {sys.get_int_max_str_digits():,} digits"
    return UserError(what, where=where, allowed=allowed)


class _KeyTwice(ValueError):
    """The error for an object that is JSON but gives one key two values."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object; raise _KeyTwice for a key that appears twice, since one would be lost."""
    row = dict(pairs)
    if len(row) < len(pairs):
        names = Counter(name for name, _ in pairs)
        raise _KeyTwice(f"the key '{names.most_common(1)[0][0][:60]}' appears twice")
    return row
