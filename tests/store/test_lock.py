"""A second run in a workspace is told who holds it; a run that has died holds nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from peftlab.core.errors import UserError
from peftlab.store.lock import HOLDER_FILE, forget_dead_holder, held

HOLD = """
import sys
from pathlib import Path
from peftlab.store.lock import held
with held(Path(sys.argv[1]), study="first-study"):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(workspace: Path) -> subprocess.Popen[str]:
    """Start another process that holds the workspace until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(workspace)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_the_second_is_told_who_the_first_is(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        with pytest.raises(UserError) as caught, held(tmp_path, study="second"):
            pass
    finally:
        end(process)
    words = str(caught.value)
    assert f"another run holds this workspace: study first-study, process {process.pid}" in words
    assert "another --workspace" in words


def test_a_run_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    end(holder(tmp_path))
    assert (tmp_path / HOLDER_FILE).is_file()
    with held(tmp_path, study="next"):
        assert str(os.getpid()) in (tmp_path / HOLDER_FILE).read_text()
    assert not (tmp_path / HOLDER_FILE).exists()


@pytest.mark.parametrize("content", ["", "{}", "[1]", "\x00"])
def test_a_holder_that_has_not_said_who_it_is(content: str, tmp_path: Path) -> None:
    process = holder(tmp_path)
    (tmp_path / HOLDER_FILE).write_text(content)
    try:
        with pytest.raises(UserError, match="which one is not known"), held(tmp_path, study="x"):
            pass
    finally:
        end(process)


def test_what_a_killed_run_has_said_of_itself_is_forgotten_but_not_what_another_says(
    tmp_path: Path,
) -> None:
    process = holder(tmp_path)
    forget_dead_holder(tmp_path)
    assert (tmp_path / HOLDER_FILE).is_file()
    end(process)
    forget_dead_holder(tmp_path)
    assert not (tmp_path / HOLDER_FILE).exists()
