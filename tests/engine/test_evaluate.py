"""Evaluation is sorted by length for speed, and its result is in the data's order again."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification

from peftlab.core.trial import Trial
from peftlab.data.encode import Encoded
from peftlab.data.predictions import Predictions
from peftlab.engine.classifier import build_classifier
from peftlab.engine.dataset import TrialData
from peftlab.engine.devices.processor import Processor
from peftlab.engine.evaluate import mean_loss, predict_logits, predict_split
from peftlab.engine.memory import PeakMemory
from peftlab.models.checkpoints import load_model
from tests.models.tiny import CONFIGS


@pytest.mark.parametrize("engine", ["packed", "padded"])
def test_predictions_are_in_the_order_of_the_data(
    engine: str, make_trial: Callable[..., Trial], data_of: Callable[[Trial], TrialData]
) -> None:
    data = data_of(make_trial()).dev
    model = load_model(make_trial().model.name, num_labels=2, seed=0)
    classifier = build_classifier(engine, model, model, torch.device("cpu"))
    with classifier.active():
        together = predict_split(classifier, data, batch_size=7)
        model.eval()
        with torch.no_grad():
            alone = [classifier.logits(data, np.array([row])).numpy() for row in range(len(data))]
    np.testing.assert_allclose(together.logits, np.concatenate(alone), rtol=1e-4, atol=1e-5)
    assert together.row_ids.tolist() == list(range(len(data)))


@pytest.mark.parametrize(
    ("model_type", "changes"), [("mobilebert", {}), ("funnel", {"block_sizes": [1, 1, 1]})]
)
def test_where_padding_shows_a_row_is_predicted_without_any(
    model_type: str, changes: dict[str, Any]
) -> None:
    """The exception is padding that its own length requires: Funnel cannot read very short rows."""
    config = AutoConfig.for_model(model_type, **(CONFIGS[model_type] | changes))
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)
    lengths = [9, 3, 17, 9, 12, 3, 1]
    ids = np.random.default_rng(0).integers(3, 50, sum(lengths), dtype=np.int32)
    ends = np.cumsum(lengths)

    def rows(*chosen: int) -> Encoded:
        parts = [ids[ends[row] - lengths[row] : ends[row]] for row in chosen]
        return Encoded(
            ids=np.concatenate(parts),
            type_ids=None,
            offsets=np.cumsum([0, *map(len, parts)]),
            labels=np.zeros(len(parts), dtype=np.int64),
            row_ids=np.arange(len(parts)),
        )

    classifier = build_classifier("packed", model, model, torch.device("cpu"))
    with classifier.active():
        together = predict_logits(classifier, rows(*range(7)), batch_size=8)
        alone = [predict_logits(classifier, rows(row), batch_size=8)[0] for row in range(7)]
        with torch.inference_mode():
            mixed = classifier.logits(rows(*range(7)), np.arange(7)).numpy()
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    assert np.abs(mixed - together).max() > 1e-3
    expected = model(input_ids=torch.from_numpy(ids[:9]).long()[None]).logits.detach().numpy()
    np.testing.assert_allclose(together[:1], expected, rtol=1e-4, atol=1e-5)


def test_evaluation_drops_nothing_and_leaves_the_mode_as_it_was(
    make_trial: Callable[..., Trial], data_of: Callable[[Trial], TrialData]
) -> None:
    data = data_of(make_trial()).dev
    model: nn.Module = load_model(make_trial().model.name, num_labels=2, seed=0).train()
    classifier = build_classifier("packed", model, model, torch.device("cpu"))
    with classifier.active():
        first = predict_logits(classifier, data, batch_size=8)
        assert model.training
        assert np.array_equal(first, predict_logits(classifier, data, batch_size=8))


def test_the_mean_loss_of_a_coin_is_the_logarithm_of_two() -> None:
    coin = Predictions(
        row_ids=np.arange(3),
        labels=np.array([0, 1, 1]),
        logits=np.zeros((3, 2), dtype=np.float32),
    )
    assert mean_loss(coin) == pytest.approx(np.log(2))


def test_peak_memory_sees_a_block_that_is_gone_again() -> None:
    memory = PeakMemory(Processor("cpu"))
    before = memory.read()
    if before is None:
        pytest.skip("this system does not tell a process's peak memory")
    with mmap.mmap(-1, 64_000_000) as block:  # new pages, whatever the allocator keeps
        block.write(b"1" * 64_000_000)
    after = memory.read()
    assert after is not None
    assert after - before > 50_000_000


def test_packed_batches_are_halved_where_memory_is_short(
    make_trial: Callable[..., Trial],
    data_of: Callable[[Trial], TrialData],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a GPU they start with enough tokens to keep it busy, whatever its memory."""
    data = data_of(make_trial()).dev
    model = load_model(make_trial().model.name, num_labels=2, seed=0)
    classifier = build_classifier("packed", model, model, torch.device("cpu"))
    compute, seen = classifier.logits, list[int]()

    def with_room_for_100_tokens(data: Encoded, rows: Any) -> torch.Tensor:
        seen.append(int(data.lengths[rows].sum()))
        if seen[-1] > 100:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return compute(data, rows)

    with classifier.active():
        expected = predict_logits(classifier, data, batch_size=7)
        monkeypatch.setattr(classifier, "logits", with_room_for_100_tokens)
        found = predict_logits(classifier, data, batch_size=7)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert seen[0] > 500
    assert sum(tokens for tokens in seen if tokens <= 100) == int(data.lengths.sum())
