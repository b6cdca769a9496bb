"""Trials that an older version got wrong are named on the page and in the terminal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from peftlab.core.training import TrainingSettings
from peftlab.report.findings.outdated import outdated_warnings
from peftlab.report.findings.results import results_of
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Warnings
from peftlab.report.write import make_page
from tests.report.made_up import made_up

SENTIMENT = "demo-sentiment"
ACCUMULATED = TrainingSettings(gradient_accumulation_steps=2)


def view_of(folder: Path, *, rules: int, engine: str = "trainer") -> StudyView:
    view = made_up(
        folder, {"a": 0.8}, arms={"a": {"method": "full"}}, tasks=[SENTIMENT], seeds=[1, 2]
    )
    given = {"training": ACCUMULATED, "engine": engine, "rules": rules}
    records = tuple(replace(one, trial=one.trial.model_copy(update=given)) for one in view.records)
    return replace(view, records=records, by_place={("a", SENTIMENT): records})


def test_what_was_wrong_stands_on_top_of_the_page_and_among_the_notes(tmp_path: Path) -> None:
    view = view_of(tmp_path, rules=1)
    (warning,) = outdated_warnings(view)
    assert warning.startswith("2 trials were measured by an older version, in which the engine")
    assert warning.endswith("times too large. Run the study again to measure them anew.")
    expected = Warnings(title="Measured by an older version", lines=[warning])
    assert make_page(view).blocks[0] == expected
    assert results_of(view, ()).notes[0] == warning


def test_nothing_is_said_of_what_was_right_or_is_measured_anew(tmp_path: Path) -> None:
    assert outdated_warnings(view_of(tmp_path / "a", rules=2)) == []
    assert outdated_warnings(view_of(tmp_path / "b", rules=1, engine="packed")) == []
