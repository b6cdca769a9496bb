"""The script for a card keeps what was measured whatever becomes of a section; tables name it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu
from benchmarks.gpu_tables import lines_of


def section(given: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """Find one thing, and fail."""
    yield "first", 1
    raise ValueError("no more\nthan that")


@pytest.fixture
def given(tmp_path: Path) -> argparse.Namespace:
    return argparse.Namespace(output=tmp_path, device="cpu", minilm="minilm", data=None)


def test_what_a_section_has_found_outlives_its_failure(given: argparse.Namespace) -> None:
    gpu.run_here("steps", section, given)
    result = gpu.read(given.output, "steps")
    assert result["found"] == {"first": 1}
    assert result["status"] == "failed: ValueError: no more"


def test_a_section_that_is_cut_off_is_named_and_begins_anew(given: argparse.Namespace) -> None:
    gpu.run_here("families", section, given)
    gpu.run_apart("families", given, limit=0.05)
    assert gpu.read(given.output, "families") == {"found": {}, "status": "cut off after 0 s"}


def test_the_whole_is_over_in_six_minutes(
    given: argparse.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, limits = [0.0], {}

    def run_apart(name: str, given: argparse.Namespace, limit: float) -> None:
        limits[name] = limit
        clock[0] += limit
        gpu.put(given.output, name, status="done")

    monkeypatch.setattr(gpu, "run_apart", run_apart)
    monkeypatch.setattr(gpu, "perf_counter", lambda: clock[0])
    monkeypatch.setattr("sys.argv", ["gpu.py", f"--output={given.output}"])
    gpu.main()
    assert sum(limits.values()) == gpu.WHOLE
    assert [*limits] == [*gpu.SECTIONS][: len(limits)]
    last = [*gpu.SECTIONS][-1]
    assert gpu.read(given.output, last)["status"] == "left out: 360 s were over"


def test_tables_show_what_is_there_and_name_what_is_not() -> None:
    took = {"packed fp32": 3.0, "packed tf32": 2.0, "packed bf16": 1.5, "trainer-fp32": 30.0}
    took |= {"trainer-tf32": 24.0, "trainer-bf16": 45.0}
    results: dict[str, dict[str, Any]] = {name: {} for name in gpu.SECTIONS}
    results["steps"] = {
        "status": "cut off after 110 s",
        "found": {"bert-base lora sst2": {k: {"ms_a_step": v} for k, v in took.items()}},
    }
    results["families"] = {
        "status": "done",
        "found": {"bert": {"difference": 1e-7, "largest": 0.5}, "opt": "ValueError: no"},
    }
    lines = lines_of(results)
    assert (
        "| bert-base lora sst2 | 3.00 (10.0x) | 2.00 (12.0x) | 1.50 (20.0x) | 30.0 | 24.0 | 45.0 |"
        in lines
    )
    assert (
        "families: 1 of 2 ran, at most 2e-07 of the largest logit from the CPU (bert); "
        "opt: ValueError: no" in lines
    )
    assert "- steps: cut off after 110 s" in lines
    assert "- machine: not run" in lines
