"""Edits of values parsed from YAML or JSON, and their YAML text with features of YAML alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import Any

MARKER = "peftlab-escaped"
"""A part of every name with which an input tries to escape from its folder."""

NAMES = (
    f"../../{MARKER}", f"../{MARKER}.yaml", f"..\\..\\{MARKER}", "..", ".", "/", "~", "~root",
    "/etc/passwd", "/dev/zero", "C:\\x", "con", "name\x00tail", "a" * 300, "a/" * 200, "-rf",
    "--help", "$(touch x)", "`id`", "%s%n", "{0.__class__}", "{{7*7}}",
    "<script>alert(1)</script>", "</script><img src=x onerror=alert(1)>", "[x](javascript:1)",
    "\ud800", "\udfff\ud800", "\u202e", "\x1b[31m", "a\nb", "a\rb", "\u2028", "", " ", "é\u0301",
    "bert\u00e9", "१२", "none", "hub:", "hub:../..", "hub:/", "file:///etc/passwd",
    "http://127.0.0.1:9/x", "([a-z.0-9]+)+!", ".*.*.*.*.*.*.*!", "demo", "hub", "minilm",
    "gpt2", "lora", "full",
)  # fmt: skip

NUMBERS = (
    0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400, 0.0, -0.0, 1e-320, 1e308, -1e308,
    0.5, 1.5, float("inf"), float("-inf"), float("nan"),
)  # fmt: skip


def nasty(rng: Random) -> Any:
    """Return a value that hardly fits anywhere."""
    match rng.randrange(9):
        case 0 | 1 | 2:
            return rng.choice(NAMES)
        case 3 | 4 | 5:
            return rng.choice(NUMBERS)
        case 6:
            return rng.choice((None, True, False, [], {}, [[]], {"": None}, [None], {"a": {}}))
        case 7:
            return _nested(rng.choice((5, 40, 200)), rng)
        case _:
            return rng.choice(
                (list(range(300)), {str(n): n for n in range(300)}, "x" * 100_000, [{}] * 50)
            )


def _nested(depth: int, rng: Random) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if rng.random() < 0.5 else {"a": value}
    return value


def mutate_tree(value: Any, rng: Random) -> Any:
    """Return a changed copy: values replaced, keys lost, doubled or renamed, parts moved."""
    changed = deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(changed))
        if not places:
            return nasty(rng)
        parent, key = rng.choice(places)
        _edit(parent, key, places, rng)
    return changed


def _edit(parent: Any, key: Any, places: list[tuple[Any, Any]], rng: Random) -> None:
    match rng.randrange(8):
        case 0 | 1 | 2 | 3:
            parent[key] = nasty(rng)
        case 4:
            del parent[key]
        case 5:
            other, other_key = rng.choice(places)
            if other_key in other if isinstance(other, dict) else other_key < len(other):
                parent[key] = deepcopy(other[other_key])
        case 6:
            if isinstance(parent, dict):
                parent[rng.choice((*NAMES, key, f"{key}s", f"{key}"[:-1]))] = parent.pop(key)
            else:
                parent.append(parent[key])
        case 7:
            parent[key] = rng.choice(([parent[key]], {"x": parent[key]}, str(parent[key])))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Return every (container, key) in the value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def json_bytes(value: Any) -> bytes:
    """Return the value as JSON, with NaN and lone surrogates as Python writes them."""
    try:
        return json.dumps(value).encode()
    except (RecursionError, ValueError, TypeError):
        return b"[" * 100_000


def yaml_text(value: Any, rng: Random, specials: tuple[str, ...]) -> str:
    """Return the value as YAML in flow style, sometimes with a special in place of a value."""
    chance = rng.choice((0, 0, 0.02, 0.2)) if specials else 0

    def write(value: Any) -> str:
        if chance and rng.random() < chance:
            return rng.choice(specials)
        if isinstance(value, dict):
            return "{" + ", ".join(f"{_scalar(k)}: {write(v)}" for k, v in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(write, value)) + "]"
        return _scalar(value)

    try:
        if isinstance(value, dict):
            return "\n".join(f"{_scalar(key)}: {write(inner)}" for key, inner in value.items())
        return write(value)
    except RecursionError:
        return "[" * 5000


def _scalar(value: Any) -> str:
    if isinstance(value, float):
        special = {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}
        return special.get(repr(value), repr(value))
    if isinstance(value, int) and abs(value) > 10**300:
        return "9" * 5000
    return json.dumps(value)
