"""Commands that train nothing import neither torch nor transformers nor peft."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from peftlab.cli.app import main
for line in sys.argv[1:]:
    status = main(line.split())
    assert status == 0, (line, status)
    heavy = [name for name in ("torch", "transformers", "peft") if name in sys.modules]
    assert not heavy, (line, heavy)
"""


def test_commands_that_train_nothing_import_nothing_that_trains(
    study_file: Path, workspace: Path, tmp_path: Path
) -> None:
    dry_run = f"run {study_file} --dry-run --device cpu --workspace {workspace}"
    params = "params --model google-bert/bert-base-uncased --method lora --set r=8"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    asked_before = "; ".join(
        ["from peftlab.cli.app import main"]
        + [f"assert main({line.split()!r}) == 0" for line in (dry_run, params)]
    )
    for code, lines in (
        (asked_before, []),
        (
            CODE,
            [
                "list tasks",
                f"list trials --workspace {workspace}",
                f"status --workspace {workspace}",
                f"report small-study --workspace {workspace}",
                params,
                dry_run,
            ],
        ),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *lines], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
