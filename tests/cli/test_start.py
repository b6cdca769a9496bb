"""Commands import only what they need: libraries for training and drawing load slowly."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TRAINS = ("torch", "transformers", "peft")
COMPUTES = ("numpy", "scipy", "pandas", "jinja2", "altair", "peftlab.report.write")
CODE = """
import sys
from peftlab.cli.app import main
heavy = sys.argv[1].split()
for line in sys.argv[2:]:
    status = main(line.split())
    assert status == 0, (line, status)
    assert not [name for name in heavy if name in sys.modules], (line, heavy)
"""


def carry_out(lines: Sequence[str], caches: Path, *, without: Sequence[str] = ()) -> None:
    """Carry the commands out in one process, which must not import the modules `without`."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, " ".join(without), *lines],
        env={**os.environ, "XDG_CACHE_HOME": str(caches)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_commands_that_show_what_is_stored_import_nothing_that_computes(
    workspace: Path, tmp_path: Path
) -> None:
    place = f"--workspace {workspace}"
    report = f"report small-study {place}"
    carry_out([report], tmp_path)
    lines = ["list tasks", f"status {place}", f"list trials {place}", report]
    carry_out(lines, tmp_path, without=(*TRAINS, *COMPUTES))
    carry_out(lines[:3], tmp_path, without=("typer", "rich.console"))


def test_commands_that_were_asked_before_import_nothing_that_trains(
    study_file: Path, workspace: Path, tmp_path: Path
) -> None:
    lines = [
        f"run {study_file} --dry-run --device cpu --workspace {workspace}",
        "params --model google-bert/bert-base-uncased --method lora --set r=8",
    ]
    carry_out(lines, tmp_path)
    carry_out(lines, tmp_path, without=TRAINS)


def test_the_tasks_are_listed_without_the_library_that_checks_values(tmp_path: Path) -> None:
    carry_out(["list tasks"], tmp_path, without=("pydantic", "peftlab.core.trial"))
