"""A study with folds trains each arm and seed on each fold, and needs no dev."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peftlab.core.errors import UserError
from peftlab.engine.dataset import load_data
from peftlab.models.checkpoints import load_tokenizer
from peftlab.study.remarks.lint import lint
from peftlab.study.spec import StudySpec, validate
from peftlab.study.trials import Expanded, expand
from peftlab.study.tune_spec import TuneSpec
from peftlab.study.tuning.search import expand_searches

NUM_ROWS = 31


@pytest.fixture
def own(tmp_path: Path, tiny_checkpoint: Path) -> Any:
    """The function that returns a study of a file of 31 rows in three folds, with keys replaced."""
    path = tmp_path / "train.csv"
    path.write_text("text,label\n" + "".join(f"row {n},{'ab'[n % 2]}\n" for n in range(NUM_ROWS)))

    def study(of_data: Any = None, **keys: Any) -> StudySpec:
        data = {"train": str(path), "text": "text", "label": "label"} | (of_data or {})
        raw = {
            "name": "own", "model": str(tiny_checkpoint), "data": {"mood": data}, "folds": 3,
            "seeds": [1, 2], "arms": {"head": {"method": "head"}, "bitfit": {"method": "bitfit"}},
        }  # fmt: skip
        return validate(raw | keys, where="own.yaml")

    return study


def rows_of(expanded: Expanded, checkpoint: Path, cache: Path) -> dict[tuple[Any, ...], Any]:
    """Return the rows of each trial, by method, seed and number of the fold."""
    tokenizer = load_tokenizer(str(checkpoint))
    return {
        (trial.method, trial.seed, trial.fold and trial.fold.number): load_data(
            trial, tokenizer, cache
        )
        for trial in expanded.trials
    }


def test_every_row_is_scored_once_by_a_model_that_was_not_trained_on_it(
    own: Any, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    expanded = expand(own())
    assert len({trial.id for trial in expanded.trials}) == 12
    assert expanded.num_examples["mood"] == (20, 11)
    data = rows_of(expanded, tiny_checkpoint, tmp_path / "cache")
    for method in ("head", "bitfit"):
        for seed in (1, 2):
            parts = [data[method, seed, number] for number in (1, 2, 3)]
            scored = np.concatenate([part.dev.row_ids for part in parts])
            assert sorted(scored) == list(range(NUM_ROWS))
            for number, part in enumerate(parts, start=1):
                both = [*part.train.row_ids, *part.dev.row_ids]
                assert sorted(both) == list(range(NUM_ROWS))
                first = data["head", 1, number].dev.row_ids
                assert part.dev.row_ids.tolist() == first.tolist()


def test_rows_are_held_out_of_the_other_folds(
    own: Any, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    expanded = expand(own(selection={"fraction": 0.2}, seeds=[1]))
    assert expanded.num_examples["mood"] == (16, 11)
    for part in rows_of(expanded, tiny_checkpoint, tmp_path / "cache").values():
        assert part.held_out is not None
        every = [*part.train.row_ids, *part.held_out.row_ids, *part.dev.row_ids]
        assert sorted(every) == list(range(NUM_ROWS))
        assert len(part.held_out) == 4


def test_a_file_of_dev_is_not_read_and_is_named(own: Any, tmp_path: Path) -> None:
    (tmp_path / "dev.csv").write_text("nothing of the kind\n")
    with_dev = expand(own({"dev": str(tmp_path / "dev.csv")}))
    assert [trial.id for trial in with_dev.trials] == [trial.id for trial in expand(own()).trials]
    said = [one.message for one in lint(with_dev) if one.where == "data.mood.dev"]
    assert said == ["dev.csv is not used: with folds the rows of train.csv are scored"]


def test_without_folds_the_same_study_has_other_trials(own: Any) -> None:
    plain = {trial.id for trial in expand(own(folds=None)).trials}
    assert len(plain) == 4
    assert not plain & {trial.id for trial in expand(own()).trials}


@pytest.mark.parametrize(
    ("of_data", "keys", "words"),
    [
        ({}, {"folds": 1}, "folds: must be at least 2 (it is 1)"),
        ({}, {"folds": 16}, "there are 15 of the label 'b' (allowed: 2 to 15)"),
        ({}, {"max_eval_samples": 5}, "max_eval_samples and folds"),
        ({"dev": 0.2}, {}, "folds, and dev: 0.2 of 'mood'"),
    ],
)
def test_what_does_not_go_with_folds_is_refused(
    own: Any, of_data: Any, keys: Any, words: str
) -> None:
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        expand(own(of_data, **keys))
    assert "\n" not in str(caught.value)


def test_settings_are_not_searched_on_rows_that_folds_score(own: Any) -> None:
    with pytest.raises(UserError, match="would choose settings on the rows that the folds score"):
        expand_searches(own(), TuneSpec())


def test_tasks_with_a_split_of_their_own_have_folds_of_train(tiny_checkpoint: Path) -> None:
    spec = validate(
        {
            "name": "demo", "model": str(tiny_checkpoint), "data": "demo", "folds": 5,
            "tasks": ["demo-sentiment"], "max_train_samples": 100,
            "arms": {"head": {"method": "head"}},
        },
        where="demo.yaml",
    )  # fmt: skip
    expanded = expand(spec)
    assert [str(trial.fold) for trial in expanded.trials] == ["1/5", "2/5", "3/5", "4/5", "5/5"]
    assert expanded.num_examples["demo-sentiment"] == (80, 20)
    assert spec.split_words == "5-fold cross-validation on train"
