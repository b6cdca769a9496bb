"""What a process is that the server of warm processes is asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

QUIET = ("-W", "ignore")


class Program(BaseModel):
    """What Python runs: the module of `-m`, the code of `-c` or a file, and its arguments."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["module", "code", "file"]
    text: str
    arguments: tuple[str, ...] = ()
    is_quiet: bool = False
    """Whether warnings are ignored."""


class Request(BaseModel):
    """A process as its parent wants it; its open files travel beside the request.

    The new process becomes a child of `parent`, which has to adopt orphans at the moment. Where
    that is none, because whoever asks is no ancestor of the server, it lives as long as the
    connection at most, by which its exit status is told at its end.
    """

    model_config = ConfigDict(frozen=True)

    program: Program
    folder: str
    environment: dict[str, str]
    parent: int | None
    descriptors: tuple[int, ...] = (0, 1, 2)
    """The numbers that the files have there which travel beside the request."""
    is_new_session: bool = False
    blocked_signals: tuple[int, ...] = ()
    ignores_interrupts: bool = False


def program_of(command: Sequence[str]) -> Program | None:
    """Return what the command has this Python run; None where a real process has to do it.

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
