"""A read-only workspace can be read, and commands that would write say so in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peftlab.store.workspace import Workspace
from tests.unprivileged import nothing_written_below

Peftlab = Callable[..., Any]

READING = (
    "status --workspace {w}",
    "list studies --workspace {w}",
    "list trials --workspace {w} --json",
    "report small-study --workspace {w}",  # the page that is there shows what is stored
    "report small-study --workspace {w} --output {out}/report",
    "predict {trial} --text a --workspace {w}",
    "export {trial} --workspace {w} --output {out}/export",
    "run {study} --workspace {w}",
)
WRITING = {
    "run {study} --workspace {w} --seeds 77": "nothing may be written there",
    "tune {study} --workspace {w} --trials 1": "nothing may be written there",
}


@pytest.fixture
def words(workspace: Path, study_file: Path, tmp_path: Path) -> dict[str, object]:
    """Return the values of the braces."""
    with Workspace.open(workspace, create=False) as opened:
        trial = next(one for one in opened.trials() if one.trial.task == "demo-sentiment")
    out = tmp_path / "out"
    out.mkdir()
    return {"w": workspace, "study": study_file, "trial": trial.trial.id, "out": out}


@pytest.mark.parametrize("line", READING)
def test_it_is_read(line: str, peftlab: Peftlab, workspace: Path, words: dict[str, object]) -> None:
    with nothing_written_below(workspace):
        answer = peftlab(*line.format(**words).split())
    assert answer.status == 0, answer.err
    assert answer.out


@pytest.mark.parametrize("line", WRITING)
def test_who_would_write_there_is_told_in_one_line(
    line: str, peftlab: Peftlab, workspace: Path, words: dict[str, object]
) -> None:
    if line.startswith("tune"):
        pytest.importorskip("optuna")
    with nothing_written_below(workspace):
        answer = peftlab(*line.format(**words).split())
    assert answer.status == 2
    assert answer.err.startswith("peftlab: ")
    assert answer.err.count("\n") == 1
    assert WRITING[line] in answer.err
