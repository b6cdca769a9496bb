"""In regression and with several labels, the engines agree with one another and transformers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from peftlab.core.trial import Trial
from peftlab.data.encode import Encoded
from peftlab.data.predictions import Predictions
from peftlab.engine.classifier import build_classifier
from peftlab.engine.dataset import TrialData
from peftlab.engine.devices.processor import Processor
from peftlab.engine.evaluate import mean_loss
from peftlab.engine.tally import Tally
from peftlab.engine.trainer import train_with_trainer
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import load_model, load_tokenizer
from peftlab.tasks.demo import SENTIMENT
from peftlab.tasks.spec import Task
from tests.engine.running import train

SCORES = replace(SENTIMENT, problem_type="regression", labels=(), metrics=("pearson", "spearman"))
LABELS = replace(
    SENTIMENT,
    problem_type="multi_label_classification",
    labels=("short", "even", "first"),
    metrics=("accuracy",),
)


def scored(rows: Encoded) -> Encoded:
    """Return the rows with their numbers of tokens, in tens, as labels."""
    return replace(rows, labels=rows.lengths / 10)


def labelled(rows: Encoded) -> Encoded:
    """Return the rows with three labels each, any of which may apply."""
    facts = [rows.lengths < 9, rows.lengths % 2 == 0, rows.row_ids < 12]
    return replace(rows, labels=np.stack(facts, axis=1).astype(np.int64))


def trained(trial: Trial, data: TrialData) -> Tally:
    base = load_model(trial.model.name, num_labels=data.task.num_labels, seed=trial.seed)
    base.config.problem_type = data.task.problem_type
    base.config.attention_probs_dropout_prob = 0.0
    module = METHODS.get(trial.method).apply(base, trial.method_config, seed=trial.seed)
    for child in module.modules():
        if isinstance(child, torch.nn.Dropout):
            child.p = 0.0
        if hasattr(child, "attention_dropout"):
            child.attention_dropout = 0.0
    if trial.engine == "trainer":
        tokenizer = load_tokenizer(trial.model.name)
        return train_with_trainer(module, tokenizer, trial, data, device=Processor("cpu"))
    classifier = build_classifier(trial.engine, module, base, torch.device("cpu"))
    return train(classifier, trial, data)


@pytest.mark.parametrize(
    ("task", "change"), [(SCORES, scored), (LABELS, labelled)], ids=["regression", "labels"]
)
def test_the_engines_agree_step_by_step_without_dropout(
    task: Task,
    change: Callable[[Encoded], Encoded],
    make_trial: Callable[..., Trial],
    data_of: Callable[[Trial], TrialData],
) -> None:
    plain = data_of(make_trial())
    data = TrialData(task=task, train=change(plain.train), dev=change(plain.dev))
    packed, padded, trainer = (
        trained(make_trial(engine=engine, method="lora"), data)
        for engine in ("packed", "padded", "trainer")
    )
    for peer in (padded, trainer):
        for own, other in zip(packed.evaluations, peer.evaluations, strict=True):
            np.testing.assert_allclose(own.step_losses, other.step_losses, rtol=1e-4)
            assert own.eval_loss == pytest.approx(other.eval_loss, rel=1e-4)
            assert own.scores == pytest.approx(other.scores, rel=1e-2, abs=0.1)
    losses = [record.eval_loss for record in packed.evaluations]
    assert losses[-1] < losses[0]
    assert list(packed.evaluations[0].scores) == list(task.metrics)


@pytest.mark.parametrize(
    ("task", "change"), [(SCORES, scored), (LABELS, labelled)], ids=["regression", "labels"]
)
def test_the_engines_accumulate_to_the_same_clipped_steps_without_dropout(
    task: Task,
    change: Callable[[Encoded], Encoded],
    make_trial: Callable[..., Trial],
    data_of: Callable[[Trial], TrialData],
) -> None:
    # 37 rows in batches of 8: an epoch is a step of 24 and one of 13, 8 and then 5.
    plain = data_of(make_trial(rows=37))
    data = TrialData(task=task, train=change(plain.train), dev=change(plain.dev))
    packed, padded, trainer = (
        trained(
            make_trial(
                engine=engine,
                method="lora",
                rows=37,
                gradient_accumulation_steps=3,
                max_grad_norm=0.05,
                num_train_epochs=3,
            ),
            data,
        )
        for engine in ("packed", "padded", "trainer")
    )
    assert [len(record.step_losses) for record in packed.evaluations] == [0, 2, 2, 2]
    for peer in (padded, trainer):
        for own, other in zip(packed.evaluations, peer.evaluations, strict=True):
            np.testing.assert_allclose(own.step_losses, other.step_losses, rtol=1e-4)
            assert own.eval_loss == pytest.approx(other.eval_loss, rel=1e-4)


@pytest.mark.parametrize(
    ("labels", "logits", "loss"),
    [
        (np.array([1.0, -1.0]), [[0.0], [2.0]], (1 + 9) / 2),
        (np.array([[0, 1], [1, 1]]), [[0.0, 0.0], [0.0, 0.0]], np.log(2)),
    ],
)
def test_the_mean_loss_is_that_of_the_kind(
    labels: np.ndarray, logits: list[list[float]], loss: float
) -> None:
    predictions = Predictions(
        row_ids=np.arange(2), labels=labels, logits=np.array(logits, dtype=np.float32)
    )
    assert mean_loss(predictions) == pytest.approx(loss)
