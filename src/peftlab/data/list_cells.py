"""A list in a cell as text, as JSON, Python, NumPy or Postgres write it.

Nothing of it is run: what is read are texts in quotes, numbers, true and false, and bare words.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

LONGEST_LIST = 1 << 18
"""The most characters of a text that is read as a list."""
LONGEST_WORD = 200
"""The most characters of a word in a list without quotes."""
FORMS = """["a", "b"], [a, b], ('a', 'b'), {'a', 'b'}, {a,b}, [0, 1, 0], []"""
CLOSING = {"[": "]", "(": ")", "{": "}"}
QUOTES = ("'", '"')

_ITEM = re.compile(
    r""" (?P<call>(?:np\.|numpy\.)?(?:str|bool|u?int|float)\d*_?\()?
    (?: (?P<quoted>"(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*')
    | (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)
    | (?:np\.)?(?P<flag>[Tt]rue|[Ff]alse)_? )
    (?(call)\)) """,
    re.VERBOSE,
)
_CALL = re.compile(
    r"(?:\w{1,20}\.)?(?:array|tensor|Index|list|tuple|set|frozenset)\((.*)\)", re.DOTALL
)
_OPTIONS = re.compile(r",\s*(?:dtype|device|name)=[^\[\](){}]{0,100}\Z")
_PAIR = re.compile(
    r"""\s*(?:"(?:[^"\\]|\\.)*"\s*: | '(?:[^'\\]|\\.)*'\s*:
    | [^\s"',:\[\](){}]+:(?:\s|["'\[{\d]))""",
    re.VERBOSE,
)
_BETWEEN = re.compile(r"\s*,\s*|\s+")
_IN_BRACES = re.compile(r'(?:\s*"((?:[^"\\]|\\.)*)"\s*|([^",{}]+))(?:,|\Z)', re.DOTALL)
_ESCAPED = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_SIGNS = {"n": "\n", "t": "\t", "r": "\r"}


def list_in(text: str) -> list[Any] | None:
    r"""Return the list that the text holds; None if it is no list, such as a JSON object.

    >>> list_in('["joy", "fear"]'), list_in("('joy', 'it\\'s')"), list_in("[]"), list_in("[0. 1.]")
    (['joy', 'fear'], ['joy', "it's"], [], [0.0, 1.0])
    >>> list_in("[joy, fear]"), list_in('{joy,"no fear"}'), list_in("set()")
    (['joy', 'fear'], ['joy', 'no fear'], [])
    >>> list_in("joy"), list_in("{'joy': 1}"), list_in("['joy'")
    (None, None, None)
    """
    inner = _inner(text)
    found = None if inner is None else _found(inner)
    return None if found is None else found.items


def is_list(text: str) -> bool:
    """Return whether the text is a list and cannot be a word in brackets.

    >>> is_list("['joy']"), is_list("[joy, fear]"), is_list("[]"), is_list("[joy]"), is_list("(1)")
    (True, True, True, False, False)
    """
    inner = _inner(text)
    found = None if inner is None else _found(inner)
    if inner is None or found is None:
        return False
    may_be_word = found.is_bare or (inner.opening == "(" and inner.text[:1] not in QUOTES)
    return len(found.items) != 1 or not may_be_word or inner.text.endswith(",")


def is_no_word(text: str) -> bool:
    """Return whether the text is a list, or was meant as a list or an object but cannot be read.

    >>> [is_no_word(text) for text in ("{'joy': 1}", "['a' ... 'z']", "['joy'", "(joy)")]
    [True, True, True, False]
    """
    own = text.strip()
    if len(own) > 2 and own[0] == own[-1] == '"':  # a field of CSV that was read as one of TSV
        own = own[1:-1].replace('""', '"').strip()
    if own[:1] in CLOSING and own[1:].lstrip()[:1] in QUOTES:
        return True
    inner = _inner(own)
    if inner is None:
        return False
    has_more = "..." in inner.text or inner.text[:1] in CLOSING or inner.text[-1:] in QUOTES
    return has_more or _is_object(inner) or is_list(own)


@dataclass(frozen=True)
class _Inner:
    """The text within brackets, and the opening one."""

    text: str
    opening: str


@dataclass(frozen=True)
class _Found:
    """The items of a list; `is_bare` where they are words without quotes."""

    items: list[Any]
    is_bare: bool


def _inner(text: str) -> _Inner | None:
    own = text.strip()
    if len(own) > LONGEST_LIST:
        return None
    called = _CALL.fullmatch(own)
    if called is not None:
        own = _OPTIONS.sub("", called[1].strip()).strip() or "[]"
    opening = own[:1]
    if opening not in CLOSING or len(own) < 2 or own[-1] != CLOSING[opening]:
        return None
    return _Inner(own[1:-1].strip(), "[" if called is not None else opening)


def _is_object(inner: _Inner) -> bool:
    return inner.opening == "{" and _PAIR.match(inner.text) is not None


def _found(inner: _Inner) -> _Found | None:
    if _is_object(inner):
        return None
    items = _items(inner)
    if items is not None:
        return _Found(items, is_bare=False)
    if inner.opening == "(":  # words in parentheses are words
        return None
    words = _words_in_braces(inner.text) if inner.opening == "{" else _unquoted_words(inner.text)
    return None if words is None else _Found(words, is_bare=True)


def _items(inner: _Inner) -> list[Any] | None:
    """Return the items by JSON, or quoted words, numbers and truth values between separators."""
    if inner.opening == "[":
        try:
            found: list[Any] = json.loads(f"[{inner.text}]")
            return found
        except (ValueError, RecursionError):
            pass
    items: list[Any] = []
    position, text = 0, inner.text
    while position < len(text):
        item = _ITEM.match(text, position)
        if item is None:
            return None
        items.append(_value(item))
        between = _BETWEEN.match(text, item.end())
        if between is None:
            return items if item.end() == len(text) else None
        position = between.end()
    return items


def _unquoted_words(text: str) -> list[str] | None:
    """Return words without quotes, with commas between them."""
    words = [word.strip() for word in text.removesuffix(",").split(",")]
    return words if all(map(_is_word, words)) else None


def _words_in_braces(text: str) -> list[str] | None:
    """Return the words of a list as Postgres writes it, which quotes only words that need it."""
    found: list[str] = []
    position = 0
    while position < len(text):
        word = _IN_BRACES.match(text, position)
        if word is None:
            return None
        if word[1] is None and not _is_word(word[2].strip()):
            return None
        found.append(word[2].strip() if word[1] is None else re.sub(r"\\(.)", r"\1", word[1]))
        position = word.end()
    return found


def _is_word(word: str) -> bool:
    """Return whether the text may be a label without quotes: no bracket, nothing left out."""
    is_quoted = word[:1] in QUOTES or word[-1:] in QUOTES
    has_sign = "..." in word or any(sign in word for sign in "[](){}\n")
    return 0 < len(word) <= LONGEST_WORD and not is_quoted and not has_sign


def _value(item: re.Match[str]) -> Any:
    if item["quoted"] is not None:
        return _ESCAPED.sub(_unescaped, item["quoted"][1:-1])
    if item["flag"] is not None:
        return item["flag"][0] in "tT"
    number = item["number"]
    return int(number) if re.fullmatch(r"[-+]?\d{1,18}", number) else float(number)


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2] or escape[3]
    if code is None:
        return _SIGNS.get(escape[4], escape[4])
    number = int(code, 16)
    return chr(number) if number <= 0x10FFFF else escape[0]
