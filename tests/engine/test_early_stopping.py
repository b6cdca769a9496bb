"""Training stops early at the same step for every engine, and after any kill."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.inputs import ModelRef
from peftlab.core.selection import Selection
from peftlab.core.training import CheckpointEvery
from peftlab.core.trial import Fold, Seeds, Trial
from peftlab.data.batches import padded_tokens
from peftlab.data.predictions import read_predictions
from peftlab.engine.dataset import TrialData
from peftlab.engine.events import Finished, Paused
from peftlab.engine.registry import ENGINES
from peftlab.engine.schedule import EvaluationSchedule, epoch_orders
from peftlab.models.location import locate
from peftlab.tasks.metrics.registry import score
from peftlab.tasks.selection import has_stopped_early, reported
from tests.engine.test_schedule import EVERY_TWO, History, Killed, results, run

MakeTrial = Callable[..., Trial]
DataOf = Callable[[Trial], TrialData]


@pytest.fixture
def trial(make_trial: MakeTrial) -> Trial:
    """Return a trial of 30 steps, 5 per epoch, evaluated after every 2, that stops in epoch 2."""
    settings: dict[str, Any] = {
        "learning_rate": 0.1, "warmup_steps": 0, "weight_decay": 0.1, "num_train_epochs": 6,
        "eval_strategy": "steps", "eval_steps": 2, "early_stopping_patience": 2,
    }  # fmt: skip
    made = make_trial(method="bitfit", task="demo-paraphrase", rows=80, **settings)
    return made.model_copy(update={"selection": Selection(fraction=0.5)})


def with_settings(trial: Trial, **changes: Any) -> Trial:
    training = trial.training.model_copy(update=changes)
    return trial.with_settings(training, trial.method_config)


def without_dropout(checkpoint: Path, copy: Path) -> ModelRef:
    shutil.copytree(checkpoint, copy)
    config = json.loads((copy / "config.json").read_text())
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (copy / "config.json").write_text(json.dumps(config | dropout))
    return locate(str(copy))


@pytest.mark.parametrize("engine", ENGINES.names())
def test_every_engine_stops_where_the_held_out_scores_say_and_counts_what_it_did(
    engine: str, trial: Trial, tmp_path: Path, data_of: DataOf
) -> None:
    trial, history = trial.model_copy(update={"engine": engine}), History()
    outcome = run(trial, tmp_path / "a", history)
    evaluations = history.evaluations
    last = evaluations[-1].step
    assert [one.step for one in evaluations] == list(range(0, last + 1, 2))
    assert last < trial.training.total_steps(40) == 30
    assert has_stopped_early(evaluations, trial.training)
    assert not has_stopped_early(evaluations[:-1], trial.training)
    assert len(history.losses) == last
    assert isinstance(outcome, Finished)
    data = data_of(trial)
    lengths, costs = data.train.lengths, outcome.costs
    orders = [order for _, order in epoch_orders(trial, len(lengths), last)]
    tokens = sum(int(lengths[order].sum()) for order in orders)
    assert costs.train_tokens_per_second * costs.train_seconds == pytest.approx(tokens)
    assert costs.train_examples_per_second * costs.train_seconds == pytest.approx(
        sum(map(len, orders))
    )
    if engine == "packed":
        padded = sum(padded_tokens(lengths, order, 8) for order in orders)
        assert costs.padding_avoided == pytest.approx(1 - tokens / padded)
    chosen = reported(evaluations)
    assert chosen is not None
    assert 0 < chosen.step < last, "the last evaluation is the best: the test would show nothing"
    predictions = read_predictions(tmp_path / "a" / "predictions.parquet")
    assert score(data.task, predictions.logits, predictions.labels) == chosen.scores


def test_all_engines_stop_behind_the_same_step(trial: Trial, tmp_path: Path) -> None:
    """Without dropout they see the same numbers; bitfit has none of its own."""
    stopped = {}
    for engine in ENGINES.names():
        history = History()
        one = with_settings(trial.model_copy(update={"engine": engine}), learning_rate=0.0)
        run(one, tmp_path / engine, history)
        stopped[engine] = [evaluation.step for evaluation in history.evaluations]
    # Nothing is learned: the first evaluation is the best, and two more are waited for.
    assert stopped == {engine: [0, 2, 4, 6] for engine in ENGINES.names()}


def test_without_dropout_all_engines_train_a_fold_alike_and_stop_behind_the_same_step(
    trial: Trial, tiny_checkpoint: Path, tmp_path: Path, data_of: DataOf
) -> None:
    """Of 80 rows in four folds 20 are scored, and of the other 60 half is held out."""
    fold = Fold(number=2, of=4)
    trial = with_settings(trial, num_train_epochs=5.5, learning_rate=0.03)
    trial = trial.with_run(trial.seed, Seeds.of(trial.seed, fold), fold)
    trial = trial.model_copy(update={"model": without_dropout(tiny_checkpoint, tmp_path / "dry")})
    found, scored = {}, data_of(trial).dev
    for engine in ENGINES.names():
        history, folder = History(), tmp_path / engine
        run(trial.model_copy(update={"engine": engine}), folder, history)
        predictions = read_predictions(folder / "predictions.parquet")
        assert predictions.row_ids.tolist() == scored.row_ids.tolist()
        steps = [(one.step, one.scores, one.held_out_scores) for one in history.evaluations]
        found[engine] = steps, predictions.logits
    steps, logits = found["packed"]
    assert len(steps) > 3
    assert steps[-1][0] < trial.training.total_steps(30) == 22
    for own_steps, own_logits in found.values():
        assert own_steps == steps
        assert own_logits == pytest.approx(logits, abs=1e-4)


@pytest.mark.parametrize("engine", ENGINES.names())
def test_a_share_of_all_steps_is_rounded_up_and_the_last_step_evaluated(
    engine: str, trial: Trial, tmp_path: Path
) -> None:
    history = History()
    one = with_settings(
        trial.model_copy(update={"engine": engine}),
        max_steps=7, eval_steps=0.3, early_stopping_patience=None,
    )  # fmt: skip
    run(one, tmp_path, history)
    assert [(one.step, one.epoch) for one in history.evaluations] == [
        (0, 0.0), (3, 0.6), (6, 1.2), (7, 1.4),
    ]  # fmt: skip
    assert len(history.evaluations) == EvaluationSchedule.of(one, 40).num_evaluations


def test_patience_counts_evaluations_at_the_ends_of_epochs_too(
    trial: Trial, tmp_path: Path
) -> None:
    history = History()
    one = with_settings(
        trial, eval_strategy="epoch", eval_steps=None, learning_rate=0.0, early_stopping_patience=1
    )
    run(one, tmp_path, history)
    assert [one.epoch for one in history.evaluations] == [0.0, 1.0, 2.0]


def test_a_trial_that_stops_early_is_not_affected_by_kills(trial: Trial, tmp_path: Path) -> None:
    """It is killed after its first evaluation, between two, before and while it stops."""
    trial, whole = with_settings(trial, early_stopping_patience=4), History()
    run(trial, tmp_path / "whole", whole)
    last = whole.evaluations[-1].step
    assert 10 <= last < 30
    for step in (3, 6, last - 1, last):
        folder = tmp_path / f"killed-{step}"
        with pytest.raises(Killed):
            run(trial, folder, History(kill_at=step), every=EVERY_TWO)
        after = History()
        run(trial, folder, after, every=EVERY_TWO)
        assert after.resumed_at == (step - 1) // 2 * 2
        assert results(folder, after) == results(tmp_path / "whole", whole), step


def test_a_trial_that_goes_on_behind_its_last_evaluation_takes_no_further_step(
    trial: Trial, tmp_path: Path
) -> None:
    """Such a trial was killed while its model was saved."""
    settings = {"eval_strategy": "epoch", "eval_steps": None, "learning_rate": 0.0}
    trial, whole, after = with_settings(trial, **settings), History(), History()
    every = CheckpointEvery(number=1, unit="epochs")
    for history in (whole, after):
        assert isinstance(run(trial, tmp_path, history, every=every), Finished)
    assert (after.resumed_at, after.losses) == (15, [])
    assert results(tmp_path, after) == results(tmp_path, whole)


def test_it_rests_before_it_stops_early_and_stops_where_it_would_have(
    trial: Trial, tmp_path: Path
) -> None:
    trial, whole = with_settings(trial, early_stopping_patience=4), History()
    run(trial, tmp_path / "whole", whole)
    assert whole.evaluations[-1].epoch > 1.2
    rested = History()
    assert isinstance(run(trial, tmp_path / "a", rested, stop_after=1), Paused)
    assert rested.evaluations[-1].step == 6
    after = History()
    assert isinstance(run(trial, tmp_path / "a", after), Finished)
    assert after.resumed_at == 6
    assert results(tmp_path / "a", after) == results(tmp_path / "whole", whole)
