"""A file of predictions is trusted if it is the trial's own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from peftlab.core.errors import UserError
from peftlab.data.predictions import read_predictions, write_predictions
from peftlab.store.records import TrialRecord
from peftlab.store.workspace import Workspace
from peftlab.study.stored_predictions import answers_of, predictions_of

READERS = [answers_of, predictions_of]


@pytest.fixture
def records(finished_workspace: Path, tmp_path: Path) -> list[TrialRecord]:
    """Two trials of one task whose predictions differ, in a workspace that may be changed."""
    copy = shutil.copytree(finished_workspace, tmp_path / "own")
    with Workspace.open(copy, create=False) as opened:
        found = [one for one in opened.trials() if one.trial.task == "demo-sentiment"]
    first = found[0]
    return [first, next(one for one in found if one.scores != first.scores)]


def older(record: TrialRecord) -> TrialRecord:
    """Return the record as it was stored by a version without SHA-256s."""
    assert record.costs is not None
    return replace(record, costs=replace(record.costs, predictions_sha256=None))


def swap(into: TrialRecord, source: TrialRecord) -> None:
    assert into.predictions_path is not None
    assert source.predictions_path is not None
    shutil.copyfile(source.predictions_path, into.predictions_path)


@pytest.mark.parametrize("read", READERS)
def test_the_trials_own_file_is_read(read: object, records: list[TrialRecord]) -> None:
    for record in (records[0], older(records[0])):
        assert record.predictions_path is not None
        found = read(record)  # type: ignore[operator]
        wanted = read_predictions(record.predictions_path)
        assert np.array_equal(found.predicted, wanted.predicted)


@pytest.mark.parametrize("read", READERS)
def test_a_file_that_is_gone_is_none(read: object, records: list[TrialRecord]) -> None:
    assert records[0].predictions_path is not None
    records[0].predictions_path.unlink()
    assert read(records[0]) is None  # type: ignore[operator]


@pytest.mark.parametrize("read", READERS)
def test_the_file_of_another_trial_is_refused(read: object, records: list[TrialRecord]) -> None:
    first, second = records
    swap(first, second)
    what = f"these are not the predictions of the trial {first.trial.id}"
    with pytest.raises(UserError, match=f"{what}: the file has changed"):
        read(first)  # type: ignore[operator]
    metric = next(iter(first.scores))
    numbers = f"{second.scores[metric]:.1f}, the stored one {first.scores[metric]:.1f}"
    with pytest.raises(UserError, match=f"{what}: their {metric} is {numbers}"):
        read(older(first))  # type: ignore[operator]


def test_other_logits_of_the_same_score_are_refused_too(records: list[TrialRecord]) -> None:
    record = records[0]
    assert record.predictions_path is not None
    own = read_predictions(record.predictions_path)
    write_predictions(record.predictions_path, replace(own, logits=own.logits * 2))
    with pytest.raises(UserError, match="the file has changed"):
        answers_of(record)
    assert answers_of(older(record)) is not None, "an older trial has its score alone"


def test_a_file_that_is_cut_short_is_none_of_predictions(records: list[TrialRecord]) -> None:
    path = records[0].predictions_path
    assert path is not None
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="not a file of predictions"):
        answers_of(records[0])


def test_of_a_trial_that_runs_the_file_may_be_newer_than_what_is_stored(
    records: list[TrialRecord],
) -> None:
    first, second = records
    swap(first, second)
    assert answers_of(replace(first, status="running")) is not None
