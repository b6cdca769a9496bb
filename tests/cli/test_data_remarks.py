"""Findings about a user's own files are told during the run, on the page and in the card."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

LEFT_OUT = "1 row of train"


def test_a_guessed_encoding_and_rows_left_out_are_said_wherever_scores_are(
    peftlab: Callable[..., Any], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    rows = [f"thing {n} was {('fine', 'a café')[n % 2]};{'ab'[n % 2]}" for n in range(40)]
    (tmp_path / "own.csv").write_bytes(
        "\n".join(["body;mood", *rows[:30], "no label;", *rows[30:], ""]).encode("cp1252")
    )
    (tmp_path / "dev.csv").write_text("body;mood\nthis was fine;a\nthat was dull;b\n")
    raw = {
        "name": "remarks",
        "model": str(tiny_checkpoint),
        "data": {
            "own": {
                "train": "own.csv", "dev": "dev.csv", "text": "body", "label": "mood",
                "missing": "drop",
            }
        },
        "seeds": [1],
        "training": {"num_train_epochs": 1},
        "arms": {"full": {"method": "full"}},
        "report": ["scores"],
    }  # fmt: skip
    study = tmp_path / "remarks.yaml"
    study.write_text(json.dumps(raw))
    place = ("--workspace", tmp_path / "ws")
    answer = peftlab("run", study, *place, "--device", "cpu", "--json")
    assert answer.status == 0, answer.err
    assert "remark: " in answer.err
    assert "not UTF-8; read as cp1252 it gives" in answer.err
    assert "'café'" in answer.err
    page = (tmp_path / "ws" / "reports" / "remarks" / "report.md").read_text(encoding="utf-8")
    assert LEFT_OUT in page
    exported = peftlab("export", answer.json[0]["id"], *place, "--output", tmp_path / "out")
    assert exported.status == 0, exported.err
    assert LEFT_OUT in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
