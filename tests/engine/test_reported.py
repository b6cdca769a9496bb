"""With held-out rows a trial ends in its best state on them, in every engine and when resumed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from peftlab.core.interrupts import stopping_gently
from peftlab.core.measurements import Evaluation
from peftlab.core.selection import Selection
from peftlab.core.training import EVERY_EPOCH, CheckpointEvery
from peftlab.core.trial import Trial
from peftlab.data.predictions import Predictions, read_predictions
from peftlab.engine.classifier import build_classifier
from peftlab.engine.dataset import load_data
from peftlab.engine.evaluate import predict_logits
from peftlab.engine.events import Evaluated, Event, Finished, Paused, Resumed, Stepped
from peftlab.engine.registry import ENGINES
from peftlab.engine.reported import ReportedEvaluation
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import load_model, load_tokenizer
from peftlab.tasks.metrics.registry import score
from peftlab.tasks.selection import reported
from tests.engine.running import run_alone

MakeTrial = Callable[..., Trial]
HALF = Selection(fraction=0.5)
# A rate at which the tiny model learns some rows and then others: its best epoch is not its last.
SHAKY = {"num_train_epochs": 5, "learning_rate": 0.1, "warmup_steps": 0, "weight_decay": 0.1}


class History:
    """A listener that keeps the evaluations and does something at each step."""

    def __init__(self, do_at: Callable[[int], None] = lambda step: None) -> None:
        self.evaluations: list[Evaluation] = []
        self.steps: list[int] = []
        self._do_at = do_at

    def __call__(self, event: Event) -> None:
        match event:
            case Resumed(evaluations=found):
                self.evaluations = list(found)
            case Stepped(step=step):
                self.steps.append(step)
                self._do_at(step)
            case Evaluated(evaluation=record):
                self.evaluations.append(record)

    @property
    def best(self) -> Evaluation:
        best = reported(self.evaluations)
        assert best is not None
        return best


def run(
    trial: Trial,
    folder: Path,
    history: History,
    *,
    stop_after: int | None = None,
    every: CheckpointEvery = EVERY_EPOCH,
) -> Finished | Paused:
    return run_alone(trial, folder, tell=history, checkpoint_every=every, stop_after=stop_after)


def shaky(make_trial: MakeTrial, **keys: object) -> Trial:
    """Return a trial that holds out half of its rows, and gets worse on them before its end."""
    return make_trial(**{"task": "demo-paraphrase", "rows": 48, **SHAKY, **keys}).model_copy(
        update={"selection": HALF}
    )


def results(folder: Path) -> dict[str, bytes]:
    files = [*(folder / "model").iterdir(), folder / "predictions.parquet"]
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.parametrize(
    ("engine", "method"), [("packed", "full"), *((engine, "lora") for engine in ENGINES.names())]
)
def test_the_saved_model_and_predictions_are_those_of_the_best_epoch(
    engine: str,
    method: str,
    make_trial: MakeTrial,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offered, offer = [], ReportedEvaluation.offer

    def noted(self: Any, epochs: Any, predictions: Predictions, *given: Any, **keys: Any) -> None:
        offered.append(predictions.logits)
        offer(self, epochs, predictions, *given, **keys)

    monkeypatch.setattr(ReportedEvaluation, "offer", noted)
    trial, history = shaky(make_trial, method=method, engine=engine), History()
    outcome = run(trial, tmp_path / "a", history)
    assert 0 < history.best.epoch < 5, "the last epoch is the best: the test would show nothing"
    assert (outcome.num_train_examples, outcome.num_eval_examples) == (24, 24)
    stored = read_predictions(tmp_path / "a" / "predictions.parquet")
    np.testing.assert_array_equal(stored.logits, offered[history.evaluations.index(history.best)])

    data = load_data(trial, load_tokenizer(trial.model.name), tmp_path / "cache")
    base = load_model(trial.model.name, num_labels=2, seed=0)
    module = METHODS.get(method).load(base, tmp_path / "a" / "model")
    classifier = build_classifier("padded", module, base, torch.device("cpu"))
    logits = predict_logits(classifier, data.dev, batch_size=8)
    np.testing.assert_allclose(logits, stored.logits, rtol=1e-3, atol=1e-4)
    assert data.held_out is not None
    held_out = predict_logits(classifier, data.held_out, batch_size=8)
    assert score(data.task, held_out, data.held_out.labels) == history.best.held_out_scores


def test_both_own_engines_and_the_peer_train_on_the_same_rows(
    make_trial: MakeTrial, tmp_path: Path
) -> None:
    losses = {}
    for engine in ENGINES.names():
        history = History()
        calm = {"learning_rate": 1e-3, "num_train_epochs": 1}
        run(shaky(make_trial, engine=engine, **calm), tmp_path / engine, history)
        losses[engine] = [
            *history.evaluations[0].scores.values(),
            history.evaluations[0].held_out_loss,
        ]
    assert losses["packed"] == pytest.approx(losses["padded"], rel=1e-4)
    assert losses["packed"] == pytest.approx(losses["trainer"], rel=1e-4)


def test_without_a_selection_nothing_is_held_out(make_trial: MakeTrial, tmp_path: Path) -> None:
    history = History()
    outcome = run(make_trial(rows=16), tmp_path / "a", history)
    assert outcome.num_train_examples == 16
    assert {(one.held_out_loss, len(one.held_out_scores)) for one in history.evaluations} == {
        (None, 0)
    }
    assert history.best is history.evaluations[-1]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_stopped_behind_its_best_epoch_it_ends_with_the_same_bits(
    method: str, make_trial: MakeTrial, tmp_path: Path
) -> None:
    trial, whole = shaky(make_trial, method=method), History()
    run(trial, tmp_path / "whole", whole)
    assert 0 < whole.best.epoch < 5
    last_but_one = 3 * 4 + 2  # in the last epoch of 3 steps
    ask = lambda step: signal.raise_signal(signal.SIGINT) if step == last_but_one else None  # noqa: E731
    with pytest.raises(KeyboardInterrupt), stopping_gently():
        run(trial, tmp_path / "stopped", History(ask))
    again = History()
    run(trial, tmp_path / "stopped", again)
    assert again.steps == [15]
    assert results(tmp_path / "stopped") == results(tmp_path / "whole")
    without_time = [replace(one, seconds=0.0) for one in again.evaluations]
    assert without_time == [replace(one, seconds=0.0) for one in whole.evaluations]


def test_a_checkpoint_that_lacks_the_best_epoch_is_not_gone_on_from(
    make_trial: MakeTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = shaky(make_trial, method="lora")
    with monkeypatch.context() as patch:
        patch.setattr("peftlab.engine.reported.ReportedEvaluation.state", lambda self: {})
        assert isinstance(run(trial, tmp_path / "a", History(), stop_after=4), Paused)
    history = History()
    run(trial, tmp_path / "a", history)
    assert history.steps[0] == 1


@pytest.mark.parametrize("engine", ["packed", "padded"])
def test_a_trial_that_rests_now_and_then_ends_with_the_same_bits(
    engine: str, make_trial: MakeTrial, tmp_path: Path
) -> None:
    trial, never = shaky(make_trial, engine=engine), CheckpointEvery(number=1000, unit="steps")
    run(trial, tmp_path / "whole", History())
    seen = []
    for stop in (1, 1, 3):
        history = History()
        outcome = run(trial, tmp_path / "rests", history, stop_after=stop, every=never)
        assert isinstance(outcome, Paused)
        assert outcome.costs.artifact_bytes is None
        assert not (tmp_path / "rests" / "model").exists()
        seen.append((len(history.evaluations) - 1, len(history.steps)))
    assert seen == [(1, 3), (1, 0), (3, 6)]
    assert isinstance(run(trial, tmp_path / "rests", History(), every=never), Finished)
    assert results(tmp_path / "rests") == results(tmp_path / "whole")


def test_a_trial_is_not_paused_behind_its_last_epoch(make_trial: MakeTrial, tmp_path: Path) -> None:
    trial = make_trial(rows=16, num_train_epochs=2)
    assert isinstance(run(trial, tmp_path / "a", History(), stop_after=2), Finished)
    assert (tmp_path / "a" / "model").is_dir()


def test_outputs_of_frozen_layers_are_cached_for_held_out_rows_too(
    make_trial: MakeTrial, tmp_path: Path
) -> None:
    scores = {}
    for caches in (False, True):
        history = History()
        keys = {"method": "head", "cache_frozen": caches, "rows": 24, "num_train_epochs": 1}
        outcome = run(shaky(make_trial, **keys), tmp_path / str(caches), history)
        assert (outcome.costs.cached_layers > 0) == caches
        scores[caches] = history.evaluations[0].held_out_loss
    assert scores[True] == pytest.approx(scores[False], rel=1e-4)
