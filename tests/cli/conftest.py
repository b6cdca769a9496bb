"""The command line, called in this process, with all of its output."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from peftlab.cli.app import main


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The exit status, stdout and stderr of one command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value of stdout; it fails if stdout holds anything else."""
        return json.loads(self.out)


@pytest.fixture
def peftlab(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Answer]:
    """Run one command, with its caches in the test's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Answer(status=status, out=out, err=err)

    return call


@pytest.fixture
def workspace(finished_workspace: Path, tmp_path: Path) -> Path:
    """A copy of the finished workspace that a test may change."""
    return Path(shutil.copytree(finished_workspace, tmp_path / "workspace"))
