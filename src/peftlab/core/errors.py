"""The errors of this project; a `UserError` is the user's mistake and reads as one line."""

from __future__ import annotations

import copyreg
import difflib
from collections.abc import Iterable
from typing import Any

LONGEST_PART, LONGEST_LIST, LONGEST_NAME = 600, 1600, 100
"""Characters of a part of a message, of a list of what is allowed, of a name that is unknown."""


class PeftlabError(Exception):
    """Base of every error that this project raises on purpose."""


class UserError(PeftlabError):
    """A mistake that the user can mend: what is wrong, where it is, and what is allowed.

    The command line prints it as one line on stderr and ends with exit status 2.

    >>> str(UserError("unknown task 'sst'", where="study.yaml: tasks[0]", allowed="cola, sst2"))
    "study.yaml: tasks[0]: unknown task 'sst' (allowed: cola, sst2)"
    """

    def __init__(self, what: str, *, where: str = "", allowed: str = "") -> None:
        self.what = one_line(what)
        self.where = one_line(where)
        self.allowed = one_line(allowed, length=LONGEST_LIST)
        prefix = f"{self.where}: " if self.where else ""
        suffix = f" (allowed: {self.allowed})" if self.allowed else ""
        super().__init__(f"{prefix}{self.what}{suffix}")

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is unpickled by calling its class with its text, which is not what ours
        # take; worker processes hand them on pickled.
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]


class UnknownNameError(UserError):
    """A name that is not among those known; the message offers the nearest one.

    >>> str(UnknownNameError("method", "lra", ["lora", "full"]))
    "unknown method 'lra', did you mean 'lora'? (allowed: full, lora)"
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, where: str = "") -> None:
        names = sorted(known)
        name = one_line(str(name), length=LONGEST_NAME)
        near = difflib.get_close_matches(name, names, n=1)
        hint = f", did you mean '{near[0]}'?" if near else ""
        super().__init__(f"unknown {kind} '{name}'{hint}", where=where, allowed=", ".join(names))


class AbsentError(UserError):
    """A thing that is not on this machine, or cannot be had now: elsewhere it may be there.

    A study can be looked at without it. What is there, and is wrong, is a plain UserError.
    """


class TrialError(PeftlabError):
    """A training that cannot go on; the trial is stored as failed with this cause."""


class StorageError(PeftlabError):
    """A failure to write a result: the disk is full, or gone, or may not be written.

    It ends the study; nothing is lost that was stored before, and the next run goes on from there.
    """

    def __init__(self, what: str, *, where: str) -> None:
        self.what, self.where = what, where
        super().__init__(one_line(f"{where}: {what}; what was stored before is kept"))


def one_line(text: str, *, length: int = LONGEST_PART) -> str:
    """The text as one line that does nothing to a terminal, its middle left out where it is long.

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
    """The first line of an exception, or of a stored cause of failure; words for there being none.

    >>> first_line("ValueError: no\\n  File ..."), first_line(""), first_line(KeyError())
    ('ValueError: no', 'no cause is known', 'KeyError()')
    """
    text = str(cause) or repr(cause) if isinstance(cause, BaseException) else cause or ""
    return next(iter(text.splitlines()), "no cause is known")
