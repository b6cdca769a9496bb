"""Corrections change the ids of the trials that they affect, and of no others."""

from __future__ import annotations

from typing import Any

import pytest

from peftlab.core.corrections import CORRECTIONS, RULES, marks, missing
from peftlab.core.inputs import DataRef, ModelRef, OwnFiles
from peftlab.core.training import TrainingSettings
from peftlab.core.trial import Trial
from tests.core.made_trials import trial

FILES = OwnFiles(train="t.csv", dev_fraction=0.1, text=("text",), label=("label",))


def own(**given: Any) -> Trial:
    files = FILES.model_copy(update=given.pop("files", {}))
    return trial(data=DataRef(source="files", location="t.csv", digest="d", files=files), **given)


ACCUMULATED = TrainingSettings(gradient_accumulation_steps=2)
AFFECTED = {
    "trainer-accumulation": trial(engine="trainer", training=ACCUMULATED),
    "rows-drawn": own(max_train_samples=10),
    "head-left-out": trial(model=ModelRef(name="it", fingerprint="f", has_head=True)),
    "rows-apart": trial(method="lily"),
}
UNAFFECTED = [
    trial(),
    trial(engine="trainer"),
    trial(training=ACCUMULATED),
    trial(max_train_samples=10),
    own(),
    trial(model=ModelRef(name="it", fingerprint="f", has_head=True), head="keep"),
]


def test_every_correction_is_tried_here_and_belongs_to_a_version_of_the_rules() -> None:
    assert {correction.name for correction in CORRECTIONS} == AFFECTED.keys()
    assert {correction.rules for correction in CORRECTIONS} == {*range(2, RULES + 1)}


@pytest.mark.parametrize("name", AFFECTED)
def test_a_correction_changes_the_id_of_a_trial_that_it_affects(name: str) -> None:
    corrected = AFFECTED[name]
    before = corrected.as_measured_before(1)
    assert [*marks(corrected)] == [name]
    assert (marks(before), before.id != corrected.id) == ({}, True)
    assert [correction.name for correction in missing(before)] == [name]
    assert missing(corrected) == []
    assert Trial.model_validate_json(before.model_dump_json()).id == before.id


@pytest.mark.parametrize("unaffected", UNAFFECTED)
def test_a_correction_leaves_the_ids_of_other_trials(unaffected: Trial) -> None:
    before = unaffected.as_measured_before(1)
    assert (before.id, missing(before)) == (unaffected.id, [])


def test_rows_are_apart_now_in_methods_and_models_in_which_they_were_not() -> None:
    padded = ModelRef(name="it", fingerprint="f", shows_padding=True)
    for affected in (trial(model=padded), trial(method="a-method-that-only-peft-knows")):
        assert [*marks(affected)] == ["rows-apart"]


def test_the_seed_of_a_draw_of_rows_is_part_of_the_id_where_there_is_a_draw() -> None:
    other = {"split_seed": 7}
    assert own(files=other).id == own().id  # of data whose digest is the same
    assert own(files=other, max_train_samples=10).id != own(max_train_samples=10).id
