"""`peftlab lint` prints a line a finding, and the same as JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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


BOMB = "a0: &a0 {x: 1}\n" + "\n".join(
    f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n  k{n}: 1" for n in range(1, 12)
)
DAMAGED = {
    "a card that is no YAML": ("hub:", "README.md", "---\nconfigs: [\n---\n"),
    "a card that expands without end": ("hub:", "README.md", f"---\n{BOMB}\n---\n"),
    "a row of GLUE that lacks a field": ("", "SST-2/train.tsv", "sentence\tlabel\ngood\t1\nbad\n"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_data_that_are_here_and_damaged_are_refused_alike_by_lint_dry_run_and_run(
    case: str, peftlab: Peftlab, tmp_path: Path
) -> None:
    prefix, name, text = DAMAGED[case]
    if prefix:
        pytest.importorskip("datasets")
    folder = tmp_path / "damaged"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text(text)
    (folder / name).with_name("dev.tsv").write_text("sentence\tlabel\ngood\t1\n")
    study = tmp_path / "study.yaml"
    study.write_text(
        f"{{name: s, model: minilm, data: '{prefix}{folder}', tasks: [sst2], seeds: [1],"
        " arms: {a: {method: bitfit}}}"
    )
    commands = (("lint", study), ("run", study, "--dry-run"), ("run", study))
    answers = [peftlab(*command) for command in commands]
    assert [answer.status for answer in answers] == [2, 2, 2]
    lines = {answer.err.splitlines()[-1] for answer in answers}
    assert len(lines) == 1
    assert lines.pop().startswith(f"peftlab: {folder / name}:")
