"""The commands that only show stored facts, in their usual forms, without loading typer.

typer and what it needs take longer to import than these take to answer. Whatever is not plainly one
of the forms below, a mistake among them, is left to typer, which reads the rest as it reads these.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peftlab.cli import lists, progress_table
from peftlab.cli.printing import json_alone
from peftlab.core.files import DEFAULT_WORKSPACE, STUDY_SUFFIXES

COMPLETES = "_PEFTLAB_COMPLETE"
"""The environment variable that is set when a shell asks for completions."""
JSON = {"--json": "as_json"}
WORKSPACE = {"--workspace": "workspace"}


@dataclass(frozen=True, kw_only=True)
class ShortCommand:
    """A command: its call, and the call's argument that each of its options gives.

    Only the options in `switches` have no value.
    """

    call: Callable[..., None]
    switches: Mapping[str, str]
    options: Mapping[str, str]
    argument: str = ""
    defaults: Mapping[str, Any]


SHORT_COMMANDS = {
    ("list", "tasks"): ShortCommand(
        call=lists.print_tasks, switches=JSON, options={}, defaults={"as_json": False}
    ),
    ("list", "trials"): ShortCommand(
        call=lists.print_trials,
        switches=JSON,
        options={**WORKSPACE, "--study": "study"},
        defaults={"as_json": False, "study": None, "workspace": DEFAULT_WORKSPACE},
    ),
    ("status",): ShortCommand(
        call=progress_table.print_status,
        switches={**JSON, "--watch": "watch"},
        options=WORKSPACE,
        argument="study",
        defaults={
            "as_json": False,
            "study": None,
            "watch": False,
            "workspace": DEFAULT_WORKSPACE,
        },
    ),
}


def carry_out(given: Sequence[str]) -> bool:
    """Carry out a short command in its plain form; return False if typer has to read it."""
    found = read(given)
    if found is None or COMPLETES in os.environ:
        return False
    command, values = found
    with json_alone() if values["as_json"] else nullcontext():
        command.call(**values)
    return True


def read(given: Sequence[str]) -> tuple[ShortCommand, dict[str, Any]] | None:
    """Return the command and its arguments; None if typer has to read it.

    >>> found = read(["status", "mine", "--json"])
    >>> found is not None and found[1]["study"]
    'mine'
    >>> read(["status", "mine", "--jsn"])
    """
    words = next((words for words in SHORT_COMMANDS if (*given[: len(words)],) == words), None)
    if words is None:
        return None
    command, values = SHORT_COMMANDS[words], dict[str, Any]()
    ahead = iter(given[len(words) :])
    for word in ahead:
        name = command.switches.get(word) or command.options.get(word)
        value: str | bool = True
        if name is None:
            name, value = command.argument, word
        elif word in command.options:
            value = next(ahead, "")
        if name in {"", *values} or value == "" or str(value).startswith("-"):
            return None
        values[name] = Path(str(value)) if name == "workspace" else value
    if str(values.get("study", "")).endswith(STUDY_SUFFIXES):
        return None
    return command, {**command.defaults, **values}
