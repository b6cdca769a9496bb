"""A report warns about rows of dev in train, and about trials measured by an older version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.inputs import DataRef
from peftlab.core.training import TrainingSettings
from peftlab.data.leaks import LEAK, Leak
from peftlab.report.findings.results import results_of
from peftlab.report.findings.view import StudyView
from peftlab.report.findings.warnings import leak_note, leak_warnings, outdated_warnings
from peftlab.report.pages.blocks import Warnings
from peftlab.report.pages.page import render_html, render_markdown
from peftlab.report.tables.scores import scores_table
from peftlab.report.write import make_page
from tests.report.made_up import made_up

SENTIMENT = "demo-sentiment"
FOUND = Leak(num_rows=200, exact=3, alike=5)
WORDS = (
    f"{SENTIMENT}: 5 of 200 rows of dev are in train (3 exactly, 2 more after lower-casing and "
    "squeezing blanks)."
)


def view_of(folder: Path, leak: Any, *, is_own: bool = True) -> StudyView:
    view = made_up(
        folder, {"a": 0.8}, arms={"a": {"method": "full"}}, tasks=[SENTIMENT], seeds=[1, 2]
    )
    data = DataRef(source="files" if is_own else "demo", location="gone.csv", digest="d")
    stored = {} if leak is None else {LEAK: leak}
    records = tuple(
        replace(one, trial=one.trial.model_copy(update={"data": data}), provenance=stored)
        for one in view.records
    )
    return replace(view, records=records, by_place={("a", SENTIMENT): records})


def test_what_was_found_stands_on_top_of_the_page_and_beside_the_scores(tmp_path: Path) -> None:
    view = view_of(tmp_path, FOUND.to_json())
    (warning,) = leak_warnings(view)
    assert warning.startswith(f"{WORDS} Scores on such rows show what was memorised")
    assert WORDS in scores_table(view, view.arms).note
    page = make_page(view)
    assert page.blocks[0] == Warnings(title="Rows of dev are in train", lines=[warning])
    assert WORDS in render_markdown(replace(page, blocks=page.blocks[:1])).replace("\\", "")
    html = render_html(replace(page, blocks=page.blocks[:1]), {}, "")
    assert '<div class="warnings" role="note">' in html
    assert WORDS in html


def test_where_nothing_was_found_nothing_is_said(tmp_path: Path) -> None:
    view = view_of(tmp_path, Leak(num_rows=200).to_json())
    assert leak_warnings(view) == []
    assert leak_note(view) == ""
    assert not any(isinstance(block, Warnings) for block in make_page(view).blocks)


@pytest.mark.parametrize("stored", [None, "x", {"num_rows": "many"}])
def test_trials_of_which_nothing_is_stored_were_not_checked(stored: Any, tmp_path: Path) -> None:
    view = view_of(tmp_path, stored)
    assert leak_warnings(view) == []
    assert leak_note(view) == f"{SENTIMENT}: not checked whether rows of dev are in train."
    assert leak_note(view_of(tmp_path / "demo", stored, is_own=False)) == ""


def test_a_few_rows_that_a_benchmark_shares_stand_beside_the_scores_alone(tmp_path: Path) -> None:
    few = Leak(num_rows=200, exact=1, alike=1).to_json()
    view = view_of(tmp_path, few, is_own=False)
    assert leak_warnings(view) == []
    assert leak_note(view) == f"{SENTIMENT}: 1 of 200 rows of dev is in train (exactly)."
    assert leak_warnings(view_of(tmp_path / "many", FOUND.to_json(), is_own=False))


ACCUMULATED = TrainingSettings(gradient_accumulation_steps=2)


def outdated_view(folder: Path, *, rules: int, engine: str = "trainer") -> StudyView:
    view = made_up(
        folder, {"a": 0.8}, arms={"a": {"method": "full"}}, tasks=[SENTIMENT], seeds=[1, 2]
    )
    given = {"training": ACCUMULATED, "engine": engine, "rules": rules}
    records = tuple(replace(one, trial=one.trial.model_copy(update=given)) for one in view.records)
    return replace(view, records=records, by_place={("a", SENTIMENT): records})


def test_what_was_wrong_stands_on_top_of_the_page_and_among_the_notes(tmp_path: Path) -> None:
    view = outdated_view(tmp_path, rules=1)
    (warning,) = outdated_warnings(view)
    assert warning.startswith("2 trials were measured by an older version, in which the engine")
    assert warning.endswith("times too large. Run the study again to measure them anew.")
    expected = Warnings(title="Measured by an older version", lines=[warning])
    assert make_page(view).blocks[0] == expected
    assert results_of(view, ()).notes[0] == warning


def test_nothing_is_said_of_what_was_right_or_is_measured_anew(tmp_path: Path) -> None:
    assert outdated_warnings(outdated_view(tmp_path / "a", rules=2)) == []
    assert outdated_warnings(outdated_view(tmp_path / "b", rules=1, engine="packed")) == []
