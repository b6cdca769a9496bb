"""The judgement of an input: it may give a result, or one clear line. Anything else is a fault."""

from __future__ import annotations

import io
import os
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from unittest.mock import patch

import typer

from peftlab.core.errors import PeftlabError

# Typer builds the parser anew at every call, which takes longer than what most inputs cause.
_get_command = lru_cache(typer.main.get_command)

LONGEST_LINE = 3000
SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The outcome of one input. `fault` is "" for a result or a clear refusal in `line`."""

    line: str = ""
    fault: str = ""


class _TooSlow(BaseException):
    pass


def judge(call: Callable[[], object], *, watched: Path, own: Path) -> Verdict:
    """Do what the call does; nothing but `own` may change below the `watched` folder."""
    before = _listing(watched, own)
    try:
        with _time_limit(SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = call()
        line = answer if isinstance(answer, str) else ""
        fault = _fault_of_line(line) if line else ""
    except PeftlabError as error:
        line, fault = str(error), _fault_of_line(str(error))
    except KeyboardInterrupt:
        raise
    except BaseException:  # a panic of Rust code is no Exception
        line, fault = "", traceback.format_exc()
    new = _listing(watched, own) - before
    if new:
        fault = f"written outside: {sorted(new)}\n{fault}"
        for path in new:
            Path(path).unlink(missing_ok=True)
    return Verdict(line=line, fault=fault)


def command(arguments: Sequence[str]) -> str:
    """Return the command's refusal on stderr; raise AssertionError if it is not in good form."""
    from peftlab.cli.app import main

    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
    parser = patch.object(typer.main, "get_command", _get_command)
    with parser, redirect_stdout(out), redirect_stderr(err):
        status = main(arguments)
        out.flush()
    err.seek(0)
    said = err.read()
    assert "Traceback" not in said, said
    assert status in (0, 1, 2), status
    if status != 2:
        return ""
    *_, last = said.splitlines()
    assert last.startswith("peftlab: "), said
    return last.removeprefix("peftlab: ")


def _fault_of_line(line: str) -> str:
    if not line.strip():
        return "refused without a word"
    if len(line) > LONGEST_LINE:
        return f"a line of {len(line)} characters: {line[:200]}"
    bad = [sign for sign in line if not sign.isprintable()]
    return f"signs that a terminal obeys: {bad[:5]!r} in {line[:300]!r}" if bad else ""


def _listing(watched: Path, own: Path) -> set[str]:
    """Return every file below the watched folder except those in `own` and the user's answers."""
    found = set()
    kept = {own, watched / "cache" / "peftlab" / "answers"}
    for folder, folders, files in os.walk(watched):
        folders[:] = [name for name in folders if Path(folder, name) not in kept]
        found.update(str(Path(folder, name)) for name in files)
    return found


@contextmanager
def _time_limit(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _TooSlow(f"not done after {seconds} seconds")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
