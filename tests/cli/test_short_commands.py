"""Short commands are read as typer reads them, and anything unclear is left to typer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peftlab.cli import commands, lists, progress_table, short_commands
from peftlab.core.errors import UserError

WORDS = [
    "--json", "--watch", "--workspace", "--workspace=w", "--study", "--study=mine", "--help", "--",
    "--no-json", "mine", "theirs", "", "-1", "-j",
]  # fmt: skip
LINES = st.builds(
    lambda command, words: [*command, *words],
    st.sampled_from(sorted(short_commands.SHORT_COMMANDS)),
    st.lists(st.sampled_from(WORDS), max_size=5),
)
CALLS = {name: command.call.__name__ for name, command in short_commands.SHORT_COMMANDS.items()}


def read_by_typer(given: Sequence[str]) -> tuple[str, dict[str, Any]] | None:
    """Return the function that typer calls for the arguments, with its arguments, or None."""
    made: list[tuple[str, dict[str, Any]]] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS.values():
            module = lists if hasattr(lists, name) else progress_table
            patch.setattr(module, name, lambda name=name, **values: made.append((name, values)))
        try:
            commands.carry_out(given)
        except UserError:
            assert not made
    return made[0] if made else None


@given(LINES)
def test_what_is_read_is_what_typer_reads(given: list[str]) -> None:
    found = short_commands.read(given)
    if found is not None:
        command, values = found
        assert (command.call.__name__, values) == read_by_typer(given)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("list tasks --json", {"as_json": True}),
        (
            "list trials --study mine --workspace w",
            {"as_json": False, "study": "mine", "workspace": Path("w")},
        ),
        (
            "status --watch mine",
            {
                "as_json": False,
                "study": "mine",
                "watch": True,
                "workspace": short_commands.DEFAULT_WORKSPACE,
            },
        ),
    ],
)
def test_the_usual_forms_are_read(line: str, expected: dict[str, Any]) -> None:
    found = short_commands.read(line.split())
    assert found is not None
    assert found[1] == expected


@pytest.mark.parametrize(
    "line",
    ["list", "list models", "status a b", "status --json --json", "status --workspace",
     "status mine.yaml", "list trials --study mine.yml", "list tasks --help", "run status"],
)  # fmt: skip
def test_all_else_is_left_to_typer(line: str) -> None:
    assert short_commands.read(line.split()) is None
    assert not short_commands.carry_out(line.split())


def test_nothing_is_carried_out_for_a_shell_that_asks_for_completions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(short_commands.COMPLETES, "complete_bash")
    assert not short_commands.carry_out(["list", "tasks"])
