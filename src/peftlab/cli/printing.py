"""The output of commands: an exit status, one JSON value, tables, and remarks on stderr."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO

from peftlab.cli.text_table import text_table

if TYPE_CHECKING:
    from rich.console import Console

    from peftlab.report.findings.stored_results import StudyResults

DONE = 0
FAILED = 1
"""The exit status if a trial failed, or the command could not go on."""
USER_ERROR = 2
INTERRUPTED = 130

_STDOUT: ContextVar[TextIO | None] = ContextVar("_STDOUT", default=None)
"""The stream for JSON, while everything else that is printed goes elsewhere."""


@contextmanager
def json_alone() -> Iterator[None]:
    """Reserve stdout for `print_json`; all other output, libraries' included, goes to stderr."""
    token = _STDOUT.set(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _STDOUT.reset(token)


def print_json(value: Any) -> None:
    """Print one JSON value on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False), file=_STDOUT.get() or sys.stdout)


def print_table(columns: Iterable[str], rows: Iterable[Sequence[str]], *, title: str = "") -> None:
    """Print a table on stdout, at its full width if stdout is not a terminal.

    The numbers of a column whose name begins with # stand on its right.
    """
    if not sys.stdout.isatty():
        print(text_table(columns, rows, title=title))
        return
    has_styles = sys.platform != "win32" and os.environ.get("TERM") not in {"dumb", "unknown"}
    width = shutil.get_terminal_size().columns
    print(text_table(columns, rows, title=title, max_width=width, has_styles=has_styles))


def print_results(results: StudyResults) -> None:
    """Print the main score of each arm on each task with its interval, and each verdict."""
    from peftlab.report.findings.marks import kind_of

    tasks = {score.task: score.metric for score in results.scores}
    arms = dict.fromkeys(score.arm for score in results.scores)
    cells = {(score.arm, score.task): score.words for score in results.scores}
    rows = [[arm, *(cells.get((arm, task), "-") for task in tasks)] for arm in arms]
    columns = ["arm", *(f"#{task}\n{metric}" for task, metric in tasks.items())]
    title = f"{results.study}: scores {results.scored}, {results.rule}"
    print_table(columns, rows, title=title)
    for note in results.notes:
        print(note)
    for verdict in results.verdicts:
        kind = kind_of(
            is_interim=verdict.get("is_interim") is True,
            is_exploratory=verdict.get("is_exploratory") is True,
        )
        print(f"{verdict['verdict']}{f' ({kind})' if kind else ''}: {verdict['claim']}")
        print(f"    {verdict['evidence']}")


def remark(message: str) -> None:
    """Print one line on stderr."""
    print(message, file=sys.stderr)


def stderr_console() -> Console:
    """Return the console for progress and remarks."""
    from rich.console import Console

    return Console(stderr=True)
