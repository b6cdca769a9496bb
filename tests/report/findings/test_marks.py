"""An arm is marked if its layers did run without dropout, not if that was only asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from peftlab.report.findings.marks import mark_note, marked
from peftlab.report.findings.view import StudyView


def test_one_such_record_is_enough_and_asking_is_not(
    hand_made: Callable[..., StudyView], with_cached_layers: Callable[[StudyView, str], StudyView]
) -> None:
    view = hand_made({("full", "demo-sentiment"): [[(None, 1, 50)], []]})
    pending = view.records[1]
    asked = replace(pending, trial=pending.trial.model_copy(update={"cache_frozen": True}))
    assert (marked("a", [asked]), mark_note([asked])) == ("a", "")
    done = with_cached_layers(view, "full").records[0]
    assert marked("a", [asked, done]) == "a †"
    assert mark_note([asked, done]).startswith("† Frozen lower layers ran without dropout")
