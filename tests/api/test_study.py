"""A study from Python gives what the commands give of the same workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peftlab import Study, Trial, UserError, list_trials, load_results, predict
from peftlab.engine.predict import Predictor

STUDY = "small-study"


def test_a_finished_study_is_read_without_running_anything(
    study_file: Path, finished_workspace: Path
) -> None:
    study = Study.load(study_file, workspace=finished_workspace)
    assert study.status() == {"done": 16}
    trials = study.trials()
    assert [trial.id for trial in trials] == [t.id for t in list_trials(finished_workspace, STUDY)]
    assert study.results().equals(load_results(finished_workspace, STUDY))
    assert all(plan.status == "done" for plan in study.plan().trials)
    assert [trial.scores for trial in study.run(progress=False)] == [t.scores for t in trials]


def test_changes_are_those_of_the_command_line(study_file: Path, finished_workspace: Path) -> None:
    study = Study.load(
        study_file,
        workspace=finished_workspace,
        seeds=[1, 7],
        arms=["lora-r2", "bitfit"],
        tasks=["demo-sentiment"],
        settings={"training.num_train_epochs": 1, "max_length": 32},
    )
    plans = study.plan().trials
    assert [(plan.arms, plan.trial.seed) for plan in plans] == [
        (("bitfit",), 1), (("lora-r2",), 1), (("bitfit",), 7), (("lora-r2",), 7),
    ]  # fmt: skip
    assert {plan.trial.max_length for plan in plans} == {32}
    assert {plan.epochs for plan in plans} == {1}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"name": "x", "modle": "y"}, "study: unknown key 'modle', did you mean 'model'?"),
        ({"name": "x"}, "study: "),
    ],
)
def test_a_wrong_study_is_a_mistake_in_one_line(keys: dict[str, str], words: str) -> None:
    with pytest.raises(UserError) as caught:
        Study.from_dict(keys)
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


def test_a_study_that_was_not_run_has_no_results(study_file: Path, tmp_path: Path) -> None:
    study = Study.load(study_file, workspace=tmp_path / "none")
    for call in (study.results, study.trials, study.report, study.status):
        with pytest.raises(UserError, match="no results here yet"):
            call()


def test_a_trial_says_what_the_engine_says(finished_workspace: Path) -> None:
    trials = list_trials(finished_workspace, STUDY)
    pairs = [trial for trial in trials if trial.task == "demo-paraphrase"][:2]
    rows = [("the film ran late.", "it was late."), ("a", "b")]
    for trial, found in zip(pairs, predict(pairs, rows), strict=True):
        assert [one.probabilities for one in found] == [
            one.probabilities for one in trial.predict(rows)
        ]
        values = Predictor().logits(trial.record, rows).argmax(axis=1)
        assert [one.value for one in found] == values.tolist()
    by_id = predict(pairs[0].id[:8], rows, workspace=finished_workspace)
    assert len(by_id) == 1
    again = Trial.find(pairs[0].id, workspace=finished_workspace)
    assert np.array_equal(again.predictions().logits, pairs[0].predictions().logits)
    assert pairs[0].id in repr(again)
    with pytest.raises(UserError, match="texts: must be a list"):
        again.predict("a text")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"executor": "poool"}, "unknown executor 'poool', did you mean 'pool'?"),
        ({"executor": None}, "unknown executor 'None'"),
        ({"device": "gpu"}, "no device 'gpu' here"),
        ({"device": None}, "no device 'None' here"),
        ({"worker": 2}, "unknown option 'worker', did you mean 'workers'?"),
        ({"workers": 0}, "workers = 0 is not valid (allowed: a whole number from 1)"),
        ({"threads": True}, "threads = True is not valid"),
        ({"gpus": float("nan")}, "gpus = nan is not valid"),
        ({"stall_seconds": "soon"}, "stall_seconds = 'soon' is not valid"),
        ({"address": 3}, "address = 3 is not valid"),
        ({"artifacts": "s3://x"}, "the executor inline writes into the workspace itself"),
    ],
)
def test_options_are_checked_though_nothing_is_open(
    options: dict[str, Any], words: str, study_file: Path, finished_workspace: Path
) -> None:
    study = Study.load(study_file, workspace=finished_workspace)
    with pytest.raises(UserError) as caught:
        study.run(progress=False, **options)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"trials": 0}, "--trials: must be greater than 0"),
        ({"seconds": -1}, "--seconds: must be greater than 0"),
        ({"seeds": []}, "--seeds: must have at least 1"),
        ({"seeds": "4"}, "--seeds: must be a whole number"),
        ({"device": "gpu"}, "no device 'gpu' here"),
        ({"wrkers": 1}, "unknown option 'wrkers', did you mean 'workers'?"),
    ],
)
def test_options_of_a_search_are_checked_too(
    options: dict[str, Any], words: str, study_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        Study.load(study_file, workspace=tmp_path).tune(progress=False, **options)
    assert words in str(caught.value)


def test_an_unknown_change_is_a_mistake_in_one_line(study_file: Path) -> None:
    with pytest.raises(UserError, match=r"^unknown change 'engien', did you mean 'engine'\?"):
        Study.load(study_file, engien="packed")
