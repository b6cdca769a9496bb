"""`peftlab report` says where the report is and what it holds."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from peftlab.stats.state import LearningState
from peftlab.store.workspace import Workspace
from peftlab.study.load import load_study
from peftlab.study.stored_studies import store_study
from peftlab.study.trials import expand

Peftlab = Callable[..., Any]


def test_the_files_and_the_verdicts_are_given_as_json(peftlab: Peftlab, workspace: Path) -> None:
    answer = peftlab("report", "small-study", "--workspace", workspace, "--json")
    assert (answer.status, answer.err) == (0, "")
    assert list(answer.json) == [
        "html",
        "markdown",
        "figures",
        "tables",
        "verdicts",
        "learned",
        "classes",
    ]
    paths = [answer.json["html"], answer.json["markdown"]]
    paths += [*answer.json["figures"], *answer.json["tables"]]
    assert all(Path(path).is_absolute() and Path(path).stat().st_size for path in paths)
    assert [Path(path).suffix for path in answer.json["figures"]] == [".svg", ".png", ".pdf"] * 4
    tables = [Path(path).suffix for path in answer.json["tables"]]
    assert tables == [".csv", ".tex"] * (len(tables) // 2)
    assert len(tables) > 2 * 5
    keys = ["claim", "verdict", "estimate", "low", "high", "p_value"]
    assert [list(verdict)[:6] for verdict in answer.json["verdicts"]] == [keys, keys]
    assert answer.json["verdicts"][0]["claim"] == "LoRA beats full fine-tuning"
    assert len(answer.json["learned"]) == 4 * 2, "an arm on a task each"
    assert {one["state"] for one in answer.json["learned"]} <= {*get_args(LearningState)}


def test_a_report_can_be_written_elsewhere(
    peftlab: Peftlab, finished_workspace: Path, study_file: Path, tmp_path: Path
) -> None:
    place = tmp_path / "deep" / "folder"
    arguments = ("--workspace", finished_workspace, "--output", place)
    answer = peftlab("report", study_file, *arguments)
    *lines, last = answer.out.splitlines()
    assert last == f"report: {place / 'report.html'}"
    assert lines[0].startswith("small-study: scores on dev")
    assert "not enough runs: LoRA beats full fine-tuning" in lines
    names = ["figures", "report.html", "report.json", "report.md", "results.json", "tables"]
    assert sorted(file.name for file in place.iterdir()) == names


@pytest.fixture
def two_studies(workspace: Path, study_file: Path, peftlab: Peftlab, tmp_path: Path) -> Path:
    """A workspace with small-study, and with other-study, whose one arm more is not done."""
    text = study_file.read_text().replace("name: small-study", "name: other-study")
    text = text.replace("arms:\n", "arms:\n  head: {method: head}\n")
    path = tmp_path / "other-study.yaml"
    path.write_text(text)
    with Workspace.open(workspace) as opened:
        store_study(expand(load_study(str(path))), opened)
    return workspace


def test_two_studies_are_compared_on_one_page(two_studies: Path, peftlab: Peftlab) -> None:
    answer = peftlab("report", "small-study", "other-study", "--workspace", two_studies, "--json")
    assert (answer.status, answer.err) == (0, "")
    html = Path(answer.json["html"])
    assert html == two_studies / "reports" / "small-study+other-study" / "report.html"
    assert answer.json["verdicts"] == []
    text = html.read_text()
    assert "<h1>small-study and other-study</h1>" in text
    with (html.parent / "tables" / "table-sources.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert [row[:3] for row in rows[1:]] == [
        ["small-study", "small-study", "16"],
        ["other-study", "other-study", "16"],
    ]
    # The arms that both have are the very same trials.
    with (html.parent / "tables" / "table-trials.csv").open(newline="") as stream:
        arms = {row["arm"] for row in csv.DictReader(stream)}
    assert arms == {"full", "bitfit", "lora-r2", "lora-r4", "head"}


def test_one_study_of_two_workspaces_is_compared_by_their_names(
    finished_workspace: Path, workspace: Path, peftlab: Peftlab, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(finished_workspace, other)
    places = ("--workspace", workspace, "--workspace", other, "--output", tmp_path / "page")
    answer = peftlab("report", "small-study", *places)
    assert answer.status == 0
    assert answer.out.endswith(f"\nreport: {tmp_path / 'page' / 'report.html'}\n")
    text = (tmp_path / "page" / "report.html").read_text()
    assert "<h1>small-study: workspace and other</h1>" in text
    assert "workspace/lora-r2" in text
    assert "other/lora-r2" in text


def test_what_cannot_be_compared_is_one_line(
    two_studies: Path, finished_workspace: Path, peftlab: Peftlab, tmp_path: Path
) -> None:
    here, there = ("--workspace", two_studies), ("--workspace", finished_workspace)
    for arguments, message in (
        (("small-study", "small-study", *here), "the study 'small-study' is named twice"),
        (("small-study", *here, *here), f"the workspace '{two_studies}' is named twice"),
        (("small-study", "quickstart", *here), "'quickstart' has not been run here"),
        (("other-study", *here, *there), "'other-study' has not been run here"),
        (
            ("small-study", "quickstart", *here, *there),
            "'quickstart' has not been run in any of the workspaces",
        ),
    ):
        answer = peftlab("report", *arguments)
        assert (answer.status, answer.out) == (2, "")
        assert answer.err.count("\n") == 1
        assert message in answer.err
