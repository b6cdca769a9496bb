"""The errors of this project; a `UserError` is the user's mistake and reads as one line."""

from __future__ import annotations

import copyreg
import difflib
from collections.abc import Iterable
from typing import Any

LONGEST_PART, LONGEST_LIST, LONGEST_NAME = 600, 1600, 100
"""The most characters of a message's part, of a list of allowed values, of an unknown name."""


class PeftlabError(Exception):
    """Base of every error that this project raises on purpose."""


class UserError(PeftlabError):
    """A mistake that the user can mend: what is wrong, where it is, what is allowed, what to try.

    The command line prints it as one line on stderr and ends with exit status 2.

    >>> str(UserError("unknown task 'sst'", where="study.yaml: tasks[0]", allowed="cola, sst2"))
    "study.yaml: tasks[0]: unknown task 'sst' (allowed: cola, sst2)"
    >>> str(UserError("another run holds this workspace", remedy="wait for its end"))
    'another run holds this workspace (try: wait for its end)'
    """

    def __init__(self, what: str, *, where: str = "", allowed: str = "", remedy: str = "") -> None:
        self.what = one_line(what)
        self.where = one_line(where)
        self.allowed = one_line(allowed, length=LONGEST_LIST)
        self.remedy = one_line(remedy)
        prefix = f"{self.where}: " if self.where else ""
        suffix = f" (allowed: {self.allowed})" if self.allowed else ""
        suffix += f" (try: {self.remedy})" if self.remedy else ""
        super().__init__(f"{prefix}{self.what}{suffix}")

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is unpickled by calling its class with its text, but our classes take the
        # parts of the text; worker processes pass errors on pickled.
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]


class UnknownNameError(UserError):
    """A name that is not among the known ones; the message offers the nearest one.

    >>> str(UnknownNameError("method", "lra", ["lora", "full"]))
    "unknown method 'lra', did you mean 'lora'? (allowed: full, lora)"
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, where: str = "") -> None:
        names = sorted(known)
        name = one_line(str(name), length=LONGEST_NAME)
        near = nearest(name, names)
        hint = "" if near is None else f", did you mean '{near}'?"
        super().__init__(f"unknown {kind} '{name}'{hint}", where=where, allowed=", ".join(names))


class AbsentError(UserError):
    """Something that is missing on this machine, or out of reach now, but may exist elsewhere.

    A study can be looked at without it. What exists and is wrong is a plain UserError.
    """


class TrialError(PeftlabError):
    """A training that cannot go on; the trial is stored as failed with this cause."""


class StorageError(PeftlabError):
    """A failure to write a result: the disk is full, missing, or not writable.

    It ends the study. What was stored before is kept, and the next run continues from there.
    """

    def __init__(self, what: str, *, where: str) -> None:
        self.what, self.where = what, where
        super().__init__(one_line(f"{where}: {what}; what was stored before is kept"))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that looks most like this one; None if none looks like it.

    >>> nearest("cosin", ["linear", "cosine"]), nearest("step", ["linear", "cosine"])
    ('cosine', None)
    """
    return next(iter(difflib.get_close_matches(name, [*known], n=1)), None)


def one_line(text: str, *, length: int = LONGEST_PART) -> str:
    """Return the text as one line that is safe for a terminal, a long one without its middle.

    >>> one_line("no\\n such \\x1b[2J thing")
    'no such \\\\x1b[2J thing'
    """
    half = length // 2
    if len(text) > length:
        text = f"{text[:half]} ... {text[-half:]}"
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode()
        for sign in " ".join(text.split())
    )


def first_line(cause: str | BaseException | None) -> str:
    """Return the first line of an exception, or of a stored cause; words if there is no cause.

    >>> first_line("ValueError: no\\n  File ..."), first_line(""), first_line(KeyError())
    ('ValueError: no', 'no cause is known', 'KeyError()')
    """
    text = str(cause) or repr(cause) if isinstance(cause, BaseException) else cause or ""
    return next(iter(text.splitlines()), "no cause is known")
