"""A run of folds has pooled predictions, and does not count while a fold is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peftlab.core.errors import UserError
from peftlab.core.trial import Fold, Seeds
from peftlab.data.predictions import Predictions, write_predictions
from peftlab.report.findings.classes import class_scores, f1_summary
from peftlab.report.findings.learning import losses_words
from peftlab.report.findings.runs import folds_note, runs_of
from peftlab.report.findings.verdicts import verdicts
from peftlab.report.findings.view import StudyView
from peftlab.report.tables.classes import classes_tables
from peftlab.report.tables.disagreement import disagreements
from peftlab.report.tables.trials import trials_table
from peftlab.stats.outcomes import FoldedExamples, Outcomes
from peftlab.store.records import PREDICTIONS_FILE, TrialRecord
from peftlab.study.spec import validate
from peftlab.tasks.metrics.registry import score
from peftlab.tasks.registry import TASKS

SENTIMENT = "demo-sentiment"
NUM_ROWS, NUM_FOLDS = 200, 4
CLAIM = {"say": "Full is better", "better": "full", "than": "bitfit"}
FOLD_N = np.random.default_rng(0).permutation(NUM_ROWS) % NUM_FOLDS + 1


@pytest.fixture
def folded(
    predicted: Callable[..., StudyView], tmp_path: Path
) -> Callable[[Mapping[str, Any]], StudyView]:
    """The function that returns a view of arms, right or not [S, N], in four folds per seed."""

    def build(rights: Mapping[str, Any]) -> StudyView:
        arms = {name: {"method": name} for name in rights}
        num_seeds = len(next(iter(rights.values())))
        changes = {"arms": arms, "tasks": [SENTIMENT], "seeds": [*range(1, num_seeds + 1)]}
        places = {(arm, SENTIMENT): rows for arm, rows in rights.items()}
        view = predicted(places, changes | {"claims": [CLAIM]})
        raw = view.spec.model_dump(mode="json") | {"folds": NUM_FOLDS}
        by_place = {
            (arm, task): tuple(
                _fold(record, rights[arm][place], number, tmp_path / arm)
                for place, record in enumerate(records)
                for number in range(1, NUM_FOLDS + 1)
            )
            for (arm, task), records in view.by_place.items()
        }
        return _with_places(replace(view, spec=validate(raw, where="s")), by_place)

    return build


def _fold(record: TrialRecord, is_right: Any, number: int, folder: Path) -> TrialRecord:
    fold = Fold(number=number, of=NUM_FOLDS)
    seed = record.trial.seed
    trial = record.trial.with_run(seed, Seeds.of(seed, fold), fold)
    rows = np.flatnonzero(number == FOLD_N)
    labels = rows % 2
    logits = np.eye(2, dtype=np.float32)[np.where(np.asarray(is_right)[rows], labels, 1 - labels)]
    own = folder / f"{seed}-{number}"
    own.mkdir(parents=True)
    write_predictions(
        own / PREDICTIONS_FILE, Predictions(row_ids=rows, labels=labels, logits=logits)
    )
    last = replace(record.evaluations[-1], scores=score(TASKS.get(trial.task), logits, labels))
    return replace(
        record,
        trial=trial,
        folder=own,
        evaluations=(record.evaluations[0], last),
        num_eval_examples=len(rows),
        num_train_examples=NUM_ROWS - len(rows),
    )


def _with_places(view: StudyView, by_place: Mapping[Any, tuple[TrialRecord, ...]]) -> StudyView:
    every = tuple(record for records in by_place.values() for record in records)
    return replace(view, by_place=by_place, records=every)


def pending(view: StudyView, arm: str, number: int, status: Any = "pending") -> StudyView:
    """Return the view with one fold of the arm's first seed not done."""
    by_place = dict(view.by_place)
    records = list(by_place[arm, SENTIMENT])
    records[number - 1] = replace(records[number - 1], status=status)
    by_place[arm, SENTIMENT] = tuple(records)
    return _with_places(view, by_place)


def right(share: float, seed: int) -> Any:
    return np.random.default_rng(seed).random(NUM_ROWS) < share


def test_the_score_of_a_run_is_that_of_its_pooled_predictions(folded: Any) -> None:
    is_right = right(0.8, 1)
    view = folded({"full": [is_right], "bitfit": [right(0.6, 2)]})
    (full, _), (task,) = view.arms, view.tasks
    summary = view.summary(full, task)
    assert summary.mean == pytest.approx(100 * is_right.mean())
    assert (summary.num_values, summary.covers) == (1, "folds")
    outcomes = view.outcomes(full, task)
    assert outcomes.predictions_SN.shape == (1, NUM_ROWS)
    assert (outcomes.predictions_SN[0] == outcomes.labels_N).tolist() == is_right.tolist()
    assert outcomes.folds.fold_N.tolist() == FOLD_N.tolist()
    assert outcomes.folds.test_share == pytest.approx(1 / 3)


def test_the_f1_of_a_class_has_an_interval_with_the_noise_of_folds(folded: Any) -> None:
    """Both arms are wrong as often, one of them in a single fold."""
    is_even, is_uneven = np.ones(NUM_ROWS, bool), np.ones(NUM_ROWS, bool)
    for fold in range(1, NUM_FOLDS + 1):
        is_even[np.flatnonzero(fold == FOLD_N)[:8]] = False
    is_uneven[np.flatnonzero(FOLD_N == 1)[:32]] = False
    view = folded({"full": [is_even], "bitfit": [is_uneven]})
    even, _, uneven, _ = sorted(
        class_scores(view, view.arms, view.tasks[0], within=view.tasks[0].labels),
        key=lambda one: (one.arm != "full", one.label),
    )
    assert even.f1 == pytest.approx(uneven.f1, abs=4)
    assert uneven.high - uneven.low > 3 * (even.high - even.low)
    (table,) = classes_tables(view, view.arms, view.tasks[0])
    assert "F1 with its 95% interval, which holds the noise of folds." in table.note


def test_a_class_that_a_fold_lacks_has_no_interval() -> None:
    """Its F1 there is 0 by definition, which says nothing of the model."""
    labels_N = np.array([0, 1, 0, 1, 0, 0, 0, 0])
    folds = FoldedExamples(fold_N=np.repeat([1, 2], 4).astype(np.int16), test_share=1.0)
    outcomes = Outcomes(
        metric="f1_macro", labels_N=labels_N, predictions_SN=labels_N[None], seeds=(1,), folds=folds
    )
    assert f1_summary(outcomes, 1) is None
    assert f1_summary(outcomes, 0) is not None


def test_one_seed_in_folds_is_enough_for_a_verdict(folded: Any) -> None:
    view = folded({"full": [right(0.95, 1)], "bitfit": [right(0.6, 2)]})
    (verdict,) = verdicts(view)
    assert verdict.verdict == "supported"
    assert "1 seed, 4 folds, 200 examples" in verdict.evidence
    assert folds_note(view.by_place) == "2 of 2 runs have all 4 folds"


def test_a_missing_fold_is_not_enough_runs_and_is_named(folded: Any) -> None:
    view = pending(folded({"full": [right(0.95, 1)], "bitfit": [right(0.6, 2)]}), "bitfit", 3)
    (verdict,) = verdicts(view)
    assert verdict.verdict == "not enough runs"
    assert "bitfit has no seed with all folds done on demo-sentiment" in verdict.evidence
    assert view.missing(view.arms) == ["bitfit on demo-sentiment, seed 1, fold 3 of 4 (pending)"]
    assert folds_note(view.by_place) == "1 of 2 runs have all 4 folds"
    assert view.summary(view.arms[1], view.tasks[0]) is None


def test_a_failed_fold_is_a_failed_run(folded: Any) -> None:
    rights = {"full": [right(0.95, 1)] * 2, "bitfit": [right(0.6, 2)] * 2}
    view = pending(folded(rights), "bitfit", 3, "failed")
    (task,) = view.tasks
    assert view.num_failed(view.arms[1], task) == 1
    assert view.summary(view.arms[1], task).num_values == 1
    (verdict,) = verdicts(view)
    assert "1 of 2 runs of bitfit on demo-sentiment failed" in verdict.evidence


def test_a_row_in_two_folds_is_damage(folded: Any) -> None:
    view = folded({"full": [right(0.95, 1)], "bitfit": [right(0.6, 2)]})
    records = view.by_place["full", SENTIMENT]
    twice = (records[0], replace(records[1], folder=records[0].folder, status="done"))
    assert len(runs_of(twice)) == 1
    view = _with_places(view, {("full", SENTIMENT): (*twice, *records[2:])})
    with pytest.raises(UserError, match=r"not the predictions|in two folds"):
        view.outcomes(view.arms[0], view.tasks[0])


def test_tables_show_the_fold_and_the_rows_of_train(folded: Any) -> None:
    view = folded({"full": [right(0.95, 1)], "bitfit": [right(0.6, 2)]})
    table = trials_table(view)
    place = table.columns.index("fold")
    assert [row[place] for row in table.rows][:NUM_FOLDS] == ["1/4", "2/4", "3/4", "4/4"]
    found = disagreements(view, view.arms, view.tasks[0])
    assert found is not None
    assert found.num_examples == NUM_ROWS


def test_a_fold_whose_model_gives_one_answer_is_named(folded: Any) -> None:
    is_right = right(0.9, 1)
    says_one = np.arange(NUM_ROWS) % 2 == 1
    collapsed = np.where(FOLD_N == 2, says_one, is_right)
    view = folded({"full": [is_right, collapsed], "bitfit": [is_right, is_right]})
    (found,) = [one for one in losses_words(view, view.arms, view.tasks) if "fold" in one]
    assert found == (
        "full collapsed on demo-sentiment in fold 2 of seed 2: its model there gives the same "
        "answer to all examples."
    )
