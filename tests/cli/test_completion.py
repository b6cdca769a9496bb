"""Tab completes commands, options and names, as a shell asks for it, and quickly."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from peftlab.cli import completion
from peftlab.cli.app import main
from peftlab.methods.registry import METHODS
from peftlab.runner.executors.registry import EXECUTORS
from peftlab.store.workspace import Workspace
from peftlab.study.load import builtin_studies
from tests.cli.test_app import HEAVY

Complete = Callable[[str], list[str]]


@pytest.fixture
def complete(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Complete:
    """Return what bash offers to complete a line, whose last word is being typed."""
    monkeypatch.chdir(tmp_path)

    def ask(line: str) -> list[str]:
        words = line.split(" ")
        monkeypatch.setenv("_PEFTLAB_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        with pytest.raises(SystemExit) as caught:
            main([])
        assert caught.value.code in (0, None)
        out, err = capsys.readouterr()
        assert err == ""
        return out.split("\n")[:-1] if out.strip() else []

    return ask


def test_commands_and_options_are_completed(complete: Complete) -> None:
    assert complete("peftlab re") == ["report"]
    assert complete("peftlab list t") == ["tasks", "trials"]
    assert complete("peftlab run --ex") == ["--executor"]
    assert {"run", "tune", "list", "bench"} <= set(complete("peftlab "))


def test_names_of_studies_are_those_of_the_package_and_of_the_workspace(
    complete: Complete, workspace: Path
) -> None:
    assert set(complete("peftlab run ")) == set(builtin_studies())
    assert complete(f"peftlab run --workspace {workspace} small") == ["small-study"]
    assert complete(f"peftlab report --workspace {workspace} ") == ["small-study"]
    assert complete(f"peftlab list trials --workspace {workspace} --study s") == ["small-study"]
    assert complete("peftlab report ") == []


def test_ids_of_trials_are_completed(complete: Complete, workspace: Path) -> None:
    with Workspace.open(workspace, create=False) as opened:
        ids = {record.trial.id for record in opened.trials()}
    first = min(ids)
    assert set(complete(f"peftlab predict --workspace {workspace} ")) == ids
    assert complete(f"peftlab export --workspace {workspace} {first[:7]}") == [first]


def test_other_names_are_completed_after_commas_too(complete: Complete, study_file: Path) -> None:
    assert complete("peftlab run quickstart --tasks demo-s") == ["demo-sentiment"]
    both = "demo-sentiment,demo-paraphrase"
    assert complete("peftlab run quickstart --tasks demo-sentiment,demo-p") == [both]
    assert "full,bitfit" in complete(f"peftlab run {study_file} --arms full,")
    assert complete("peftlab params --method pf") == ["pfeiffer"]
    assert complete("peftlab run x --engine p") == ["packed", "padded"]
    assert complete("peftlab run x --executor r") == ["ray"]


def test_the_names_that_are_not_looked_up_are_those_of_the_registries(
    complete: Complete,
) -> None:
    assert completion.methods("") == METHODS.names()
    assert completion.executors("") == EXECUTORS.names()


def test_json_and_version_have_no_effect_while_a_line_is_completed(
    complete: Complete, workspace: Path
) -> None:
    assert complete(f"peftlab report --json --workspace {workspace} s") == ["small-study"]
    assert complete("peftlab --version li") == ["lint", "list"]


def test_a_workspace_that_is_damaged_offers_nothing(complete: Complete, tmp_path: Path) -> None:
    (tmp_path / "results.sqlite").write_bytes(b"no database" * 100)
    assert complete(f"peftlab report --workspace {tmp_path} ") == []
    assert complete("peftlab run /dev/null --arms f") == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_itself_completes_by_the_script_that_is_shown(tmp_path: Path) -> None:
    program = tmp_path / "peftlab"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m peftlab "$@"\n')
    program.chmod(0o755)
    script = """
        source <(peftlab --show-completion)
        COMP_WORDS=(peftlab run --eng); COMP_CWORD=2
        $(complete -p peftlab | sed 's/.*-F \\([^ ]*\\).*/\\1/') peftlab
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "--engine\n", done.stderr


def test_nothing_heavy_is_imported_for_it() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "peftlab"],
        env={
            **os.environ,
            "_PEFTLAB_COMPLETE": "complete_bash",
            "COMP_WORDS": "peftlab bench --task demo-s",
            "COMP_CWORD": "3",
        },
        capture_output=True,
        text=True,
    )
    assert done.stdout == "demo-sentiment\n"
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not HEAVY & imported
