"""Packed and padded give the same logits and gradients on real text, for real shapes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from peftlab.core.trial import Trial
from peftlab.data.glue_folder import GlueFolder
from peftlab.data.source import DataSource
from peftlab.engine.classifier import build_classifier
from peftlab.engine.dataset import TrialData
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import load_config, load_model
from peftlab.tasks.registry import TASKS

CPU = torch.device("cpu")
BERT_BASE = "google-bert/bert-base-uncased"
# Gradients in single precision, relative to each tensor's largest entry. Measured: up to 2.1e-5.
GRADIENT_TOLERANCE = 4e-5


def without_dropout(config: Any) -> dict[str, float]:
    return {name: 0.0 for name in config.to_dict() if name.endswith(("dropout", "dropout_prob"))}


def bert_base_shape() -> PreTrainedModel:
    """bert-base-uncased's architecture at random weights, without dropout."""
    config = load_config(BERT_BASE)
    config.update(without_dropout(config))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
    return model


def minilm() -> PreTrainedModel:
    """MiniLM's real weights, without dropout."""
    model = load_model("minilm", num_labels=2, seed=0)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    model.config.update(without_dropout(model.config))
    return model


def loss_and_gradients(
    engine: str, module: nn.Module, base: PreTrainedModel, data: TrialData, rows: Any
) -> tuple[float, dict[str, Tensor]]:
    classifier = build_classifier(engine, module, base, CPU)
    assert classifier.path.startswith(engine)
    module.train()
    module.zero_grad()
    with classifier.active():
        logits = classifier.logits(data.train, rows)
        loss = cross_entropy(logits, torch.from_numpy(np.array(data.train.labels[rows])))
        loss.backward()
    return loss.item(), {
        name: parameter.grad.clone()
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }


@pytest.mark.parametrize(("task", "method"), [("sst2", "full"), ("mrpc", "lora")])
@pytest.mark.parametrize("shape", ["minilm", "bert-base"])
def test_packed_loss_and_gradients_equal_padded_ones_on_real_text(
    shape: str,
    task: str,
    method: str,
    glue_folder: Path,
    make_trial: Callable[..., Trial],
    data_of: Callable[[Trial], TrialData],
) -> None:
    source: DataSource = GlueFolder(glue_folder)
    trial = make_trial(task=task, data=source.ref(TASKS.get(task)), model="minilm")
    data = data_of(trial)
    base = minilm() if shape == "minilm" else bert_base_shape()
    chosen = METHODS.get(method)
    module = chosen.apply(base, chosen.resolve({}), seed=3)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "lora_B" in name:  # else A has no gradient
                parameter.normal_(std=0.05, generator=torch.Generator().manual_seed(4))
    rows = np.arange(6)
    assert len(set(data.train.lengths[rows].tolist())) > 1
    loss, gradients = loss_and_gradients("packed", module, base, data, rows)
    expected_loss, expected = loss_and_gradients("padded", module, base, data, rows)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert gradients.keys() == expected.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        # A key's bias has no gradient but for rounding: softmax does not see it.
        scale = max(float(gradient.abs().max()), 1e-4 * largest)
        assert float((gradients[name] - gradient).abs().max()) < GRADIENT_TOLERANCE * scale, name


def test_a_model_that_cannot_pack_is_padded_and_says_why() -> None:
    from transformers import MPNetConfig, MPNetForSequenceClassification

    config = MPNetConfig(
        vocab_size=20,
        hidden_size=8,
        num_attention_heads=2,
        intermediate_size=8,
        num_hidden_layers=1,
    )
    model = MPNetForSequenceClassification(config)
    classifier = build_classifier("packed", model, model, CPU)
    assert (
        classifier.path == "padded: mpnet: its attention, with a bias for each distance, is its own"
    )
    assert not classifier.packs


def test_the_padded_twin_is_the_stock_model_on_stock_padding(
    make_trial: Callable[..., Trial], data_of: Callable[[Trial], TrialData]
) -> None:
    from transformers import DataCollatorWithPadding

    from peftlab.models.checkpoints import load_tokenizer

    trial = make_trial(task="demo-paraphrase")
    data = data_of(trial)
    model = load_model(trial.model.name, num_labels=2, seed=0)
    rows = np.arange(5)
    classifier = build_classifier("padded", model, model, CPU)
    with torch.no_grad(), classifier.active():
        logits = classifier.logits(data.train, rows)
    tokenizer = load_tokenizer(trial.model.name).tokenizer
    spans = [slice(data.train.offsets[row], data.train.offsets[row + 1]) for row in rows]
    assert data.train.type_ids is not None
    batch = DataCollatorWithPadding(tokenizer)(
        [
            {
                "input_ids": data.train.ids[span].tolist(),
                "token_type_ids": data.train.type_ids[span].tolist(),
            }
            for span in spans
        ]
    )
    with torch.no_grad():
        assert torch.equal(copy.deepcopy(model)(**batch).logits, logits)
