"""A study with train_sizes trains each arm and seed on nested subsets of the rows of train."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peftlab.core.errors import UserError
from peftlab.core.trial import Trial, cell_of
from peftlab.engine.dataset import TrialData, load_data
from peftlab.models.checkpoints import load_tokenizer
from peftlab.study.remarks.lint import lint
from peftlab.study.spec import StudySpec, validate
from peftlab.study.trials import Expanded, expand
from peftlab.study.tune_spec import TuneSpec
from peftlab.study.tuning.search import expand_searches

NUM_ROWS, NUM_DEV = 60, 20


@pytest.fixture
def own(tmp_path: Path, tiny_checkpoint: Path) -> Any:
    """A call that gives a study of a file of 60 rows, a third with the label b, keys replaced."""
    for name, size in (("train", NUM_ROWS), ("dev", NUM_DEV)):
        rows = "".join(f"{name} row {n},{'aab'[n % 3]}\n" for n in range(size))
        (tmp_path / f"{name}.csv").write_text(f"text,label\n{rows}")

    def study(**keys: Any) -> StudySpec:
        data = {"train": str(tmp_path / "train.csv"), "text": "text", "label": "label"}
        if "folds" not in keys:
            data["dev"] = str(tmp_path / "dev.csv")
        raw = {
            "name": "own", "model": str(tiny_checkpoint), "data": {"mood": data},
            "train_sizes": [12, 30, "all"], "seeds": [1, 2],
            "arms": {"head": {"method": "head"}, "bitfit": {"method": "bitfit"}},
        }  # fmt: skip
        return validate(raw | keys, where="own.yaml")

    return study


def rows_of(
    expanded: Expanded, checkpoint: Path, cache: Path
) -> dict[tuple[Any, ...], tuple[Trial, TrialData]]:
    """The rows of each trial, by method, seed, size and number of the fold."""
    tokenizer = load_tokenizer(str(checkpoint))
    return {
        (one.method, one.seed, one.train_size, one.fold and one.fold.number): (
            one, load_data(one, tokenizer, cache)
        )
        for one in expanded.trials
    }  # fmt: skip


def test_subsets_are_nested_drawn_by_the_seed_and_have_each_label_by_its_share(
    own: Any, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    expanded = expand(own())
    assert len({trial.id for trial in expanded.trials}) == 12
    assert expanded.num_trained["mood"] == {12: 12, 30: 30, None: 60}
    data = rows_of(expanded, tiny_checkpoint, tmp_path / "cache")
    seen = {key: set(one.train.row_ids.tolist()) for key, (_, one) in data.items()}
    for method in ("head", "bitfit"):
        for seed in (1, 2):
            few, more, every = (seen[method, seed, size, None] for size in (12, 30, None))
            assert few < more < every == set(range(NUM_ROWS))
            assert few == seen["head", seed, 12, None], "all arms see the same rows"
            labels = data[method, seed, 12, None][1].train.labels
            assert np.bincount(labels).tolist() == [8, 4]
    assert seen["head", 1, 12, None] != seen["head", 2, 12, None]
    assert {len(one.dev) for _, one in data.values()} == {NUM_DEV}


def test_a_trial_on_all_rows_is_the_one_of_a_study_without_sizes(own: Any) -> None:
    plain = {trial.id for trial in expand(own(train_sizes=None)).trials}
    sized = [*expand(own()).trials]
    assert {trial.id for trial in sized if trial.train_size is None} == plain
    assert len({cell_of(trial) for trial in sized}) == 6, "a size is no run of the same cell"
    (more,) = {trial.id for trial in expand(own(train_sizes=[60])).trials} ^ plain or {None}
    assert more is None, "as many rows as there are is all of them"


def test_sizes_are_of_what_the_other_folds_leave_and_held_out_rows_are_of_the_subset(
    own: Any, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    expanded = expand(own(folds=3, selection={"fraction": 0.25}, seeds=[1]))
    assert expanded.num_trained["mood"] == {12: 9, 30: 22, None: 30}
    assert expanded.num_examples["mood"] == (30, 20)
    for trial, part in rows_of(expanded, tiny_checkpoint, tmp_path / "cache").values():
        assert part.held_out is not None
        used = {*part.train.row_ids, *part.held_out.row_ids}
        assert len(used) == (trial.train_size or 40)
        assert not used & {*part.dev.row_ids}
        assert len(part.train) == expanded.num_examples_of(trial)[0]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"train_sizes": [12, 61]}, "train_sizes: 61 training rows of 'mood' (allowed: at most 60"),
        ({"train_sizes": [41], "folds": 3}, "41 training rows of 'mood' (allowed: at most 40, or"),
        ({"train_sizes": []}, "train_sizes"),
        ({"train_sizes": [12, 12]}, "12 appears twice"),
        ({"train_sizes": ["most"]}, "train_sizes"),
        ({"train_sizes": [0]}, "train_sizes"),
        ({"train_sizes": [3], "selection": {"fraction": 0.1}}, "holds out 0 of the 3 rows"),
    ],
)
def test_sizes_that_cannot_be_are_refused_in_one_line(own: Any, keys: Any, words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        expand(own(**keys))
    assert "\n" not in str(caught.value)


def test_lint_names_labels_that_a_small_subset_lacks(own: Any) -> None:
    said = [one.message for one in lint(expand(own(train_sizes=[1, 30, "all"])))]
    assert any("train_sizes: with 1 row none has the label 'b'" in one for one in said), said
    assert not any("train_sizes" in one for one in (f.message for f in lint(expand(own()))))


def test_a_search_is_for_one_number_of_rows(own: Any) -> None:
    with pytest.raises(UserError, match="a search is for one number of training rows"):
        expand_searches(own(), TuneSpec())
