"""Values that are checked as they are made, and pydantic's complaints in words for the user."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from peftlab.core.errors import UserError, nearest

# Strict: true and "3" are integers to pydantic, and to nobody else.
Integer = Annotated[int, Field(strict=True)]
Count = Annotated[Integer, Field(gt=0)]
YesNo = Annotated[bool, Field(strict=True)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

LONGEST_SHOWN = 60
"""The most characters of a wrong value that a message shows."""
# What pydantic's kinds of complaints are called in a YAML file; of others the words are changed.
WORDS = {
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys",
    "model_type": "must be a mapping of keys",
    "too_short": "must have at least {min_length}",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    "string_type": "must be a text",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
}


class Frozen(BaseModel):
    """Base of the validated values: immutable, and a key that it does not know is an error.

    The checks of a class are built when it is first used: a command does not wait for the others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


@dataclass(frozen=True, kw_only=True)
class Complaint:
    """The first thing that pydantic finds wrong with a value.

    `kind` is pydantic's name for it, `path` leads to the part that is wrong, which is `given`, and
    `words` say what it must be.
    """

    kind: str
    path: tuple[str | int, ...]
    given: object
    words: str

    def refusal(self, *, where: str, allowed: str = "") -> UserError:
        """Return the error that states the complaint in one line, with the nearest allowed name.

        The wrong value is not shown where the complaint names it already, and a whole object is not
        shown where the complaint is of a part that it lacks, or of its sense.
        """
        is_of_whole = self.kind == "missing" or (
            self.kind == "value_error" and not isinstance(self.given, str | int | float)
        )
        is_told = isinstance(self.given, str) and self._literal in self.words
        shown = "" if is_of_whole or is_told else f" (it is {self._literal}{self._hint})"
        words = f"{self.words}{shown}"
        return UserError(words, where=where, allowed=allowed)

    @property
    def _literal(self) -> str:
        """The wrong value, shortened if it is long: truths and nothing as YAML writes them."""
        if self.given is None or isinstance(self.given, bool):
            return {None: "null", True: "true", False: "false"}[self.given]
        if isinstance(self.given, str):
            return repr(self.given[:LONGEST_SHOWN])
        return repr(self.given)[:LONGEST_SHOWN]

    @property
    def _hint(self) -> str:
        """A word on what was probably meant: quotes, or the nearest of the quoted alternatives."""
        if isinstance(self.given, bool) and (self.kind == "string_type" or "'" in self.words):
            return "; YAML reads yes and no as true and false, unless they are in quotes"
        if not isinstance(self.given, str) or not self.words.startswith("must be "):
            return ""
        near = nearest(self.given, re.findall(r"'([^']+)'", self.words))
        return "" if near is None else f"; did you mean '{near}'?"


def complaint_of(error: ValidationError) -> Complaint:
    """Return the first complaint; an unknown key comes before all others."""
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    words = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be", 1)
    if first["type"] in WORDS:
        words = WORDS[first["type"]].format(**first.get("ctx", {}))
    return Complaint(
        kind=first["type"],
        path=first["loc"],
        given=first["input"],
        words=words[:1].lower() + words[1:],
    )


def dotted(path: Iterable[str | int]) -> str:
    """Return a place in a file in the usual notation.

    >>> dotted(["claims", 0, "margin"])
    'claims[0].margin'
    """
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")
