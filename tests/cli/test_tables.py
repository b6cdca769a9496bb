"""A table of scores marks the arms whose frozen layers ran without dropout, and says so below."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Peftlab = Callable[..., Any]


def test_run_and_list_mark_cached_arms_and_only_those_where_something_was_cached(
    peftlab: Peftlab, study_file: Path, tmp_path: Path
) -> None:
    study = tmp_path / "cached.yaml"
    text = study_file.read_text().replace(
        "arms:\n", "cache_frozen: true\narms:\n  head: {method: head}\n", 1
    )
    study.write_text(text)
    place = ("--workspace", tmp_path / "runs")
    few = ("--tasks", "demo-sentiment", "--seeds", "1", "--arms", "head,bitfit")
    answer = peftlab("run", study, *few, *place)
    assert answer.status == 0
    listed = peftlab("list", "trials", *place)
    for out in (answer.out, listed.out):
        lines = [line.strip() for line in out.splitlines()]
        assert any("head †" in line for line in lines)
        assert any("bitfit" in line for line in lines)
        assert not any("bitfit †" in line for line in lines)
        assert sum(line.startswith("† Frozen lower layers") for line in lines) == 1
    page = (tmp_path / "runs" / "reports" / "small-study" / "report.md").read_text()
    assert "head †" in page
    assert "eval-mode prefix of 2 layers" in page
    assert "nothing frozen to cache" in page
    (head,) = [
        trial
        for trial in peftlab("list", "trials", *place, "--json").json
        if "head" in trial["arm"]
    ]
    assert head["costs"]["cached_layers"] == 2


def test_without_such_arms_there_is_no_mark(peftlab: Peftlab, finished_workspace: Path) -> None:
    assert "†" not in peftlab("list", "trials", "--workspace", finished_workspace).out
