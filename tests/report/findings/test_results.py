"""Short scores and verdicts are read back from their file unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from peftlab.report.findings.results import results_of
from peftlab.report.findings.stored_results import RESULTS, read_results, results_file
from peftlab.report.findings.verdicts import verdicts
from peftlab.report.findings.view import make_view
from peftlab.store.workspace import Workspace


def test_they_come_back_as_they_were(finished_workspace: Path, tmp_path: Path) -> None:
    with Workspace.open(finished_workspace, create=False) as opened:
        view = make_view(opened, "small-study")
        found = results_of(view, verdicts(view))
    (tmp_path / RESULTS).write_bytes(results_file(found))
    assert read_results(tmp_path) == found
    assert len(found.scores) == 4 * 2
    said = {verdict["verdict"] for verdict in found.verdicts}
    assert said <= {"not enough runs", "the models did not learn"}, "two seeds of a tiny model"
    assert len(found.learned) == 4 * 2


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"study": "x", "scores": 3}', b"\xff"])
def test_what_cannot_be_read_is_none(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / RESULTS).write_bytes(content)
    assert read_results(tmp_path) is None


def test_words_tell_the_interval_and_missing_runs(half_done: Path) -> None:
    with Workspace.open(half_done, create=False) as opened:
        view = make_view(opened, "small-study")
        found = results_of(view, verdicts(view))
    by_place = {(score.arm, score.task): score for score in found.scores}
    assert ("lora-r2", "demo-sentiment") not in by_place
    score = by_place["full", "demo-sentiment"]
    learned = score.model_copy(update={"state": "learned"})
    assert learned.words == f"{score.mean:.1f} [{score.low:.1f}, {score.high:.1f}]"
    few = learned.model_copy(update={"num_values": 1, "low": score.mean, "high": score.mean})
    assert few.words == f"{score.mean:.1f} (1 of 2)"
    for state, word in (("did not learn", "× did not learn"), ("cannot tell", "? cannot tell")):
        assert few.model_copy(update={"state": state}).words == f"{few.words} {word}"
