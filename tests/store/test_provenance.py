"""A result's provenance says how it was made, and admits what it cannot know."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.identity import canonical_json
from peftlab.store import provenance as module
from peftlab.store.provenance import PACKAGES


@pytest.fixture
def provenance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The function, in an empty folder outside any repository, with its cache emptied."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    module.provenance.cache_clear()
    yield module.provenance
    module.provenance.cache_clear()


def git(*arguments: str) -> str:
    names = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    done = subprocess.run(["git", *names, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_versions_are_those_that_are_installed(provenance: Any) -> None:
    versions = provenance()["versions"]
    assert versions.keys() == {"python", *PACKAGES}
    assert versions["python"] == platform.python_version()
    assert versions["torch"] == version("torch")


def test_a_package_that_is_not_there_is_null(
    provenance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PACKAGES", ("no-such-package",))
    assert provenance()["versions"]["no-such-package"] is None


def test_the_machine_is_described(provenance: Any) -> None:
    machine = provenance()["machine"]
    assert machine["cores"] == os.cpu_count()
    assert machine["system"] == platform.platform()
    assert machine["memory_bytes"] is None or machine["memory_bytes"] > 1 << 20


def test_outside_a_repository_there_is_no_git_state(provenance: Any) -> None:
    assert provenance()["git"] is None


def test_without_git_there_is_no_git_state(
    provenance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert provenance()["git"] is None


def test_in_a_repository_the_commit_and_whether_files_differ_are_known(
    provenance: Any, tmp_path: Path
) -> None:
    git("init", "--quiet")
    (tmp_path / "study.yaml").write_text("name: s\n")
    git("add", "study.yaml")
    git("commit", "--quiet", "--message", "A study")
    (tmp_path / "untracked").write_text("")
    commit = git("rev-parse", "HEAD")
    assert provenance()["git"] == {"commit": commit, "changed": False}
    (tmp_path / "study.yaml").write_text("name: t\n")
    module.provenance.cache_clear()
    assert provenance()["git"] == {"commit": commit, "changed": True}


def test_provenance_is_json(provenance: Any) -> None:
    assert canonical_json(provenance())
