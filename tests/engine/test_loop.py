"""Engines agree step by step, the same seed gives the same bits, and records are complete."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from peftlab.core.errors import TrialError
from peftlab.core.measurements import Evaluation
from peftlab.core.trial import Trial
from peftlab.data.batches import padded_tokens
from peftlab.data.encode import Encoded
from peftlab.data.glue_folder import GlueFolder
from peftlab.data.predictions import Predictions
from peftlab.engine.classifier import build_classifier
from peftlab.engine.dataset import TrialData
from peftlab.engine.devices.processor import Processor
from peftlab.engine.events import Began, Evaluated, Event, Stepped
from peftlab.engine.registry import ENGINES
from peftlab.engine.reported import ReportedEvaluation
from peftlab.engine.schedule import epoch_orders
from peftlab.engine.tally import Tally
from peftlab.engine.trainer import train_with_trainer
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import load_model, load_tokenizer
from peftlab.tasks.registry import TASKS
from tests.engine.running import train

CPU = torch.device("cpu")
MakeTrial = Callable[..., Trial]
DataOf = Callable[[Trial], TrialData]


@dataclass
class Listener:
    """A listener that keeps all it is told."""

    steps: list[tuple[int, float]] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    totals: tuple[int, int] = (0, 0)

    def __call__(self, event: Event) -> None:
        match event:
            case Began(total_steps=steps, steps_per_epoch=of_epoch):
                self.totals = (steps, of_epoch)
            case Stepped(step=step, loss=loss):
                self.steps.append((step, loss))
            case Evaluated(evaluation=record):
                self.evaluations.append(record)


class Keeping(ReportedEvaluation):
    """A stand-in that keeps the predictions of every epoch, and no state."""

    def __init__(self, dev: Encoded) -> None:
        super().__init__(dev, keeps_state=False)
        self.every: list[Predictions] = []

    def offer(self, epochs: Any, predictions: Predictions, *given: Any, **keys: Any) -> None:
        self.every.append(predictions)


def run(
    trial: Trial, data: TrialData, *, dropout: bool = True, best: Keeping | None = None
) -> tuple[Tally, Listener, dict[str, torch.Tensor]]:
    base = load_model(trial.model.name, num_labels=2, seed=trial.seed)
    method = METHODS.get(trial.method)
    module = method.apply(base, trial.method_config, seed=trial.seed)
    if not dropout:
        for child in module.modules():
            if isinstance(child, nn.Dropout):
                child.p = 0.0
        base.config.attention_probs_dropout_prob = 0.0
        for child in base.modules():
            if hasattr(child, "attention_dropout"):
                child.attention_dropout = 0.0
    listener = Listener()
    if trial.engine == "trainer":
        tokenizer = load_tokenizer(trial.model.name)
        tally = train_with_trainer(
            module, tokenizer, trial, data, listener, best, device=Processor("cpu")
        )
    else:
        classifier = build_classifier(
            trial.engine,
            module,
            base,
            CPU,
            training=trial.training,
        )
        tally = train(classifier, trial, data, listener, best=best)
    trained = {n: p.detach().clone() for n, p in module.named_parameters() if p.requires_grad}
    return tally, listener, trained


def step_losses(tally: Tally) -> list[float]:
    return [loss for record in tally.evaluations for loss in record.step_losses]


@pytest.mark.parametrize("method", ["full", "lora", "bitfit", "adalora"])
def test_without_dropout_all_engines_take_the_same_steps(
    method: str, make_trial: MakeTrial, data_of: DataOf
) -> None:
    losses, scores = {}, {}
    for engine in ENGINES.names():
        trial = make_trial(method=method, engine=engine, rows=100, task="demo-paraphrase")
        tally, _, _ = run(trial, data_of(trial), dropout=False)
        losses[engine] = step_losses(tally)
        scores[engine] = [dict(record.scores) for record in tally.evaluations]
    assert len(losses["packed"]) == 26
    for other in ENGINES.names():
        assert losses["packed"] == pytest.approx(losses[other], rel=1e-5), other
        assert scores["packed"] == scores[other], other


@pytest.mark.parametrize("max_steps", [-1, 7], ids=["whole epochs", "cut short"])
@pytest.mark.parametrize("method", ["lora", "adalora"])
def test_without_dropout_all_engines_accumulate_to_the_same_clipped_steps(
    method: str, max_steps: int, make_trial: MakeTrial, data_of: DataOf
) -> None:
    # 77 rows in batches of 8: each epoch ends with a step of a batch of 5 alone.
    losses, weights = {}, {}
    for engine in ENGINES.names():
        trial = make_trial(
            method=method,
            engine=engine,
            rows=77,
            gradient_accumulation_steps=3,
            max_grad_norm=0.1,
            num_train_epochs=3,
            max_steps=max_steps,
        )
        tally, listener, weights[engine] = run(trial, data_of(trial), dropout=False)
        losses[engine] = step_losses(tally)
        assert [loss for _, loss in listener.steps] == losses[engine]
        for record in tally.evaluations[1:]:
            assert record.train_loss == pytest.approx(np.mean(record.step_losses))
    assert len(losses["packed"]) == (12 if max_steps == -1 else 7)
    for other in ENGINES.names():
        assert losses[other] == pytest.approx(losses["packed"], rel=1e-5)
        for name, value in weights["packed"].items():
            torch.testing.assert_close(weights[other][name], value, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize(("method", "learning_rate"), [("lora", 2e-4), ("full", 2e-5)])
def test_without_dropout_twenty_steps_on_minilm_and_real_text_are_the_same(
    method: str,
    learning_rate: float,
    glue_folder: Path,
    make_trial: MakeTrial,
    data_of: DataOf,
) -> None:
    losses = {}
    for engine in ENGINES.names():
        trial = make_trial(
            method=method,
            task="cola",
            data=GlueFolder(glue_folder).ref(TASKS.get("cola")),
            model="minilm",
            engine=engine,
            rows=160,
            learning_rate=learning_rate,
            num_train_epochs=1,
        )
        tally, _, _ = run(trial, data_of(trial), dropout=False)
        losses[engine] = step_losses(tally)
    assert len(losses["packed"]) == 20
    for other in ENGINES.names():
        assert losses["packed"] == pytest.approx(losses[other], rel=1e-5), other


@pytest.mark.parametrize("engine", ENGINES.names())
def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(
    engine: str, make_trial: MakeTrial, data_of: DataOf
) -> None:
    trial = make_trial(method="lora", engine=engine)
    data = data_of(trial)
    kept, kept_again = Keeping(data.dev), Keeping(data.dev)
    first, again = run(trial, data, best=kept), run(trial, data, best=kept_again)
    other = run(make_trial(method="lora", engine=engine, seed=2), data_of(trial))
    assert step_losses(first[0]) == step_losses(again[0])
    assert first[2].keys() == again[2].keys()
    for name, value in first[2].items():
        assert torch.equal(value, again[2][name]), name
    assert np.array_equal(kept.every[-1].logits, kept_again.every[-1].logits)
    assert step_losses(first[0]) != step_losses(other[0])


@pytest.mark.parametrize("engine", ENGINES.names())
def test_every_engine_gives_the_same_kind_of_record(
    engine: str, make_trial: MakeTrial, data_of: DataOf
) -> None:
    trial = make_trial(engine=engine, rows=20, per_device_train_batch_size=8)
    data = data_of(trial)
    kept = Keeping(data.dev)
    tally, listener, _ = run(trial, data, best=kept)
    assert [record.epoch for record in tally.evaluations] == [0, 1, 2]
    assert [record.step for record in tally.evaluations] == [0, 3, 6]
    assert [len(record.step_losses) for record in tally.evaluations] == [0, 3, 3]
    assert listener.evaluations == tally.evaluations
    assert listener.totals == (6, 3)
    assert [step for step, _ in listener.steps] == [1, 2, 3, 4, 5, 6]
    assert [loss for _, loss in listener.steps] == step_losses(tally)
    assert tally.evaluations[0].train_loss is None
    for record in tally.evaluations[1:]:
        assert record.train_loss == pytest.approx(float(np.mean(record.step_losses)))
    assert list(tally.evaluations[0].scores) == ["accuracy"]
    assert len(kept.every) == 3
    for predictions in kept.every:
        assert predictions.row_ids.tolist() == list(range(24))
        assert predictions.labels.tolist() == data.dev.labels.tolist()
    assert tally.examples == 40
    assert tally.tokens == 2 * int(data.train.lengths.sum())
    expected = sum(
        padded_tokens(data.train.lengths, order, 8) for _, order in epoch_orders(trial, 20, 6)
    )
    assert tally.padded_tokens == expected


def test_the_recorded_loss_is_the_mean_cross_entropy_of_the_predictions(
    make_trial: MakeTrial, data_of: DataOf
) -> None:
    trial = make_trial()
    data = data_of(trial)
    kept = Keeping(data.dev)
    tally, _, _ = run(trial, data, best=kept)
    for record, predictions in zip(tally.evaluations, kept.every, strict=True):
        logits = predictions.logits.astype(np.float64)
        chosen = logits[np.arange(len(logits)), predictions.labels]
        expected = float((np.log(np.exp(logits).sum(axis=1)) - chosen).mean())
        assert record.eval_loss == pytest.approx(expected, rel=1e-9)
        right = predictions.logits.argmax(axis=1) == predictions.labels
        assert record.scores["accuracy"] == pytest.approx(100 * right.mean())


def test_accumulated_micro_batches_give_the_steps_of_the_whole_batch(
    make_trial: MakeTrial, data_of: DataOf
) -> None:
    whole = make_trial(rows=30, per_device_train_batch_size=8)
    parts = make_trial(rows=30, per_device_train_batch_size=2, gradient_accumulation_steps=4)
    first = step_losses(run(whole, data_of(whole), dropout=False)[0])
    second = step_losses(run(parts, data_of(parts), dropout=False)[0])
    assert len(first) == 8
    assert second == pytest.approx(first, rel=1e-5)


def test_max_steps_ends_the_training_within_an_epoch(
    make_trial: MakeTrial, data_of: DataOf
) -> None:
    trial = make_trial(rows=40, max_steps=7)
    tally, listener, _ = run(trial, data_of(trial))
    assert [record.step for record in tally.evaluations] == [0, 5, 7]
    assert listener.totals == (7, 5)


def test_every_epoch_sees_every_example_once(make_trial: MakeTrial) -> None:
    trial = make_trial()
    orders = dict(epoch_orders(trial, 40, trial.training.total_steps(40)))
    assert sorted(orders) == [1, 2]
    assert all(sorted(order.tolist()) == list(range(40)) for order in orders.values())
    assert orders[1].tolist() != orders[2].tolist()


def test_a_loss_that_is_not_finite_ends_the_trial_by_name(
    make_trial: MakeTrial, data_of: DataOf
) -> None:
    trial = make_trial(learning_rate=1e30, warmup_steps=0, max_grad_norm=0.0)
    with pytest.raises(TrialError, match="diverged"):
        run(trial, data_of(trial))


def test_training_leaves_the_global_generator_alone(make_trial: MakeTrial, data_of: DataOf) -> None:
    trial = make_trial(rows=16, num_train_epochs=1)
    data = data_of(trial)
    torch.manual_seed(5)
    expected = torch.rand(3)
    base = load_model(trial.model.name, num_labels=2, seed=1)
    torch.manual_seed(5)
    train(build_classifier("packed", base, base, CPU), trial, data)
    assert torch.equal(torch.rand(3), expected)


def test_a_run_of_full_fine_tuning_learns(make_trial: MakeTrial, data_of: DataOf) -> None:
    trial = make_trial(rows=40, num_train_epochs=25, weight_decay=0.0)
    tally, _, _ = run(trial, data_of(trial))
    first, last = tally.evaluations[1].train_loss, tally.evaluations[-1].train_loss
    assert first is not None
    assert last is not None
    assert math.isfinite(last)
    assert last < 0.8 * first


# Memory


def out_of_memory_above(limit: int) -> Callable[..., float]:
    """Make the engine's backward pass run out of memory above this number of examples."""
    from peftlab.engine.steps import backward

    def limited(*given: Any, micro_batch: int, **keys: Any) -> float:
        if micro_batch > limit:
            torch.empty(1 << 50)
        return backward(*given, micro_batch=micro_batch, **keys)

    return limited


def test_where_memory_is_short_half_the_examples_are_computed_at_once(
    make_trial: MakeTrial, data_of: DataOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = make_trial(method="lora", settings={"r": 2, "lora_dropout": 0.1})
    data = data_of(trial)
    _, whole, expected = run(trial, data)
    monkeypatch.setattr("peftlab.engine.steps.backward", out_of_memory_above(3))
    tally, listener, trained = run(trial, data)
    assert tally.words == "reduced to 2 examples at a time because memory ran out"
    for name, tensor in expected.items():
        torch.testing.assert_close(trained[name], tensor, rtol=1e-4, atol=1e-5)
    losses = [loss for _, loss in whole.steps]
    np.testing.assert_allclose([loss for _, loss in listener.steps], losses, rtol=1e-4)


def test_where_one_example_is_too_much_the_trial_has_failed(
    make_trial: MakeTrial, data_of: DataOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peftlab.engine.steps.backward", out_of_memory_above(0))
    trial = make_trial(method="bitfit")
    with pytest.raises(TrialError, match="out of memory, with one example at a time"):
        run(trial, data_of(trial))


def test_another_error_is_not_taken_for_want_of_memory(
    make_trial: MakeTrial, data_of: DataOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> float:
        raise RuntimeError("something else")

    monkeypatch.setattr("peftlab.engine.steps.backward", broken)
    trial = make_trial(method="bitfit")
    with pytest.raises(RuntimeError, match="something else"):
        run(trial, data_of(trial))
