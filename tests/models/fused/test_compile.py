"""Kernels are compiled once on a machine, in another process, and found by the next one."""

from __future__ import annotations

from pathlib import Path

import pytest

from peftlab.models.fused import compile as compiling
from peftlab.models.fused.launch import ENTRIES


def test_all_kernels_are_compiled() -> None:
    compiling.compile_all()
    assert len(ENTRIES) >= 12
    assert all("address" in vars(entry) for entry in ENTRIES)
    assert compiling._mark().exists()


def test_nothing_is_compiled_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    said: list[str] = []
    runs: list[list[str]] = []
    monkeypatch.setattr(compiling.subprocess, "run", lambda command, check: runs.append(command))
    compiling.ensure_compiled(said.append)
    assert len(said) == len(runs) == 1
    compiling._mark().touch()
    compiling.ensure_compiled(said.append)
    assert len(said) == len(runs) == 1


def test_without_kernels_there_is_nothing_to_compile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiling, "ENABLED", False)
    said: list[str] = []
    compiling.ensure_compiled(said.append)
    assert said == []
