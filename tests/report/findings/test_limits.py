"""What a limit leaves of dev is said beside the scores, and only where it cuts something."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from peftlab.report.findings.limits import cut_note
from peftlab.report.findings.results import results_of
from peftlab.report.findings.view import StudyView
from peftlab.report.tables.scores import scores_table
from tests.report.made_up import made_up

TASKS = ["demo-sentiment", "demo-paraphrase"]


def view_of(folder: Path, limit: int | None, num_eval: dict[str, int]) -> StudyView:
    arms = {"a": {"method": "full"}}
    view = made_up(folder, {"a": 0.8}, arms=arms, tasks=TASKS, seeds=[1, 2])
    by_place = {
        (arm, task): tuple(replace(one, num_eval_examples=num_eval[task]) for one in records)
        for (arm, task), records in view.by_place.items()
    }
    spec = view.spec.model_copy(update={"max_eval_samples": limit})
    return replace(view, spec=spec, by_place=by_place)


@pytest.mark.parametrize(
    ("limit", "sizes", "said"),
    [
        (16, (16, 16), "Dev is cut: the first 16 rows of demo-sentiment, demo-paraphrase."),
        (16, (16, 9), "Dev is cut: the first 16 rows of demo-sentiment."),
        (16, (12, 9), ""),
        (None, (16, 16), ""),
    ],
)
def test_only_a_split_that_is_cut_is_named(
    limit: int | None, sizes: tuple[int, int], said: str, tmp_path: Path
) -> None:
    view = view_of(tmp_path, limit, dict(zip(TASKS, sizes, strict=True)))
    assert cut_note(view) == said
    assert ("Dev is cut" in scores_table(view, view.arms).note) == bool(said)
    assert ([note for note in results_of(view, ()).notes if "cut" in note] == [said]) == bool(said)
