"""`peftlab report` says where the report lies and what it holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Peftlab = Callable[..., Any]


def test_the_files_and_the_verdicts_are_given_as_json(peftlab: Peftlab, workspace: Path) -> None:
    answer = peftlab("report", "small-study", "--workspace", workspace, "--json")
    assert (answer.status, answer.err) == (0, "")
    assert list(answer.json) == ["html", "markdown", "figures", "verdicts"]
    paths = [answer.json["html"], answer.json["markdown"], *answer.json["figures"]]
    assert all(Path(path).is_absolute() and Path(path).stat().st_size for path in paths)
    assert [Path(path).suffix for path in answer.json["figures"]] == [".svg", ".png"] * 3
    keys = ["claim", "verdict", "estimate", "low", "high", "p_value"]
    assert [list(verdict) for verdict in answer.json["verdicts"]] == [keys, keys]
    assert answer.json["verdicts"][0]["claim"] == "LoRA beats full fine-tuning"


def test_a_report_can_be_written_elsewhere(
    peftlab: Peftlab, finished_workspace: Path, study_file: Path, tmp_path: Path
) -> None:
    place = tmp_path / "deep" / "folder"
    arguments = ("--workspace", finished_workspace, "--output", place)
    answer = peftlab("report", study_file, *arguments)
    assert answer.out == f"report: {place / 'report.html'}\n"
    assert sorted(file.name for file in place.iterdir()) == ["figures", "report.html", "report.md"]
