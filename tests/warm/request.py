"""The request for a process to the server of warm processes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

QUIET = ("-W", "ignore")


class Program(BaseModel):
    """The program for Python: the module of `-m`, the code of `-c` or a file, and arguments."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["module", "code", "file"]
    text: str
    arguments: tuple[str, ...] = ()
    is_quiet: bool = False
    """Whether warnings are ignored."""


class Request(BaseModel):
    """The process that its parent wants; its open files are sent with the request.

    The new process becomes a child of `parent`, which has to adopt orphans at that moment. If there
    is no parent, since the asking process is not an ancestor of the server, the process lives at
    most as long as the connection, by which its exit status is sent at its end.
    """

    model_config = ConfigDict(frozen=True)

    program: Program
    folder: str
    environment: dict[str, str]
    parent: int | None
    descriptors: tuple[int, ...] = (0, 1, 2)
    """The numbers in the new process of the files that are sent with the request."""
    is_new_session: bool = False
    blocked_signals: tuple[int, ...] = ()
    ignores_interrupts: bool = False


def program_of(command: Sequence[str]) -> Program | None:
    """Return the program that this Python runs for the command; None if it needs a real process.

    >>> program_of([sys.executable, "-W", "ignore", "-m", "this", "1"]).arguments
    ('1',)
    >>> program_of([sys.executable, "-X", "importtime", "-m", "this"])
    """
    executable, *rest = command
    is_quiet = tuple(rest[:2]) == QUIET
    option, *rest = rest[2:] if is_quiet else rest
    kinds: dict[str, Literal["module", "code"]] = {"-m": "module", "-c": "code"}
    if executable != sys.executable or option not in kinds:
        return None
    return Program(kind=kinds[option], text=rest[0], arguments=tuple(rest[1:]), is_quiet=is_quiet)
