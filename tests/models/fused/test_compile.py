"""Kernels are compiled once on a machine, in another process, and found by the next one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from peftlab.core.progress import watched_by
from peftlab.models.fused import compile as compiling
from peftlab.models.fused.launch import ENTRY_POINTS
from tests.models.stages import Watcher


def test_all_kernels_are_compiled() -> None:
    told: list[tuple[int, int]] = []
    compiling.compile_all(lambda done, total: told.append((done, total)))
    assert len(ENTRY_POINTS) >= 12
    assert all("address" in vars(entry_point) for entry_point in ENTRY_POINTS)
    assert compiling._mark().exists()
    total = len(ENTRY_POINTS) + 1
    assert told == [(done, total) for done in range(total + 1)]


def test_nothing_is_compiled_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    runs: list[Any] = []

    def told() -> Any:
        runs.append(None)
        yield from ("0 of 3\n", "a remark of a library\n", "1 of 3\n", "3 of 3\n")

    monkeypatch.setattr(compiling, "_told", told)
    watcher = Watcher()
    with watched_by(watcher):
        compiling.ensure_compiled()
        compiling._mark().touch()
        compiling.ensure_compiled()
    assert len(runs) == 1
    assert [(one.done, one.total) for one in watcher.seen] == [
        (0, None), (0, 3), (1, 3), (3, 3), (3, 3),
    ]  # fmt: skip
    assert {(one.words, one.unit) for one in watcher.seen} == {(compiling.WORDS, "kernels")}


def test_without_kernels_there_is_nothing_to_compile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiling, "ENABLED", False)
    monkeypatch.setattr(compiling, "_told", lambda: pytest.fail("a process was started"))
    compiling.ensure_compiled()
