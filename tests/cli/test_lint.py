"""`peftlab lint` prints a line a finding, and the same as JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Peftlab = Callable[..., Any]


def test_findings_are_printed_and_given_as_json(peftlab: Peftlab, study_file: Path) -> None:
    answer = peftlab("lint", study_file, "--json")
    assert answer.status == 0
    assert answer.err == ""
    assert all(list(finding) == ["level", "rule", "where", "message"] for finding in answer.json)
    high = next(finding for finding in answer.json if finding["rule"] == "learning-rate")
    assert high["level"] == "warning"
    assert high["where"].startswith("arms.full on ")
    lines = peftlab("lint", study_file).out.splitlines()
    assert lines == [
        f"{f['level']}: {f['where']}: {f['message']} [{f['rule']}]" for f in answer.json
    ]


def test_a_setting_changes_what_is_found(peftlab: Peftlab, study_file: Path) -> None:
    def rules(*settings: str) -> set[str]:
        findings = peftlab("lint", study_file, *settings, "--json").json
        return {finding["rule"] for finding in findings}

    assert "single-seed" not in rules()
    assert "single-seed" in rules("--set", "seeds=[1]")


def test_a_study_whose_data_are_not_here_is_linted_all_the_same(peftlab: Peftlab) -> None:
    answer = peftlab("lint", "glue-peft", "--json")
    assert answer.status == 0
    assert {"random-head", "single-seed"} <= {finding["rule"] for finding in answer.json}


def test_an_error_makes_the_exit_status_1_and_a_warning_does_not(
    peftlab: Peftlab, study_file: Path
) -> None:
    for options, status in (((), 0), (("--set", "training.warmup_steps=1000"), 1)):
        for form in ((), ("--json",)):
            answer = peftlab("lint", study_file, *options, *form)
            assert answer.status == status
            assert answer.err == ""
        levels = {finding["level"] for finding in answer.json}
        assert ("error" in levels) == (status == 1)
        assert "warning" in levels
