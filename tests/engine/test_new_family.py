"""A new architecture is one entry, from which everything else follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from peftlab.core.trial import Trial
from peftlab.data.demo.source import DemoSource
from peftlab.data.predictions import read_predictions
from peftlab.engine.predict import Predictor
from peftlab.models.families import FAMILIES, family_of
from peftlab.models.family import Family, Way
from peftlab.models.packing import packed_model
from peftlab.models.padding import PaddedModel
from peftlab.store.records import TrialRecord
from peftlab.tasks.registry import TASKS
from tests.engine.running import run_alone
from tests.models.tiny import CONFIGS, gradients, ragged, tiny_model, write_tiny_checkpoint
from tests.models.toy import TOY, ToyConfig, ToyForSequenceClassification, ToyModel

MakeTrial = Callable[..., Trial]
SHORT = {"max_length": 20, "rows": 12, "max_steps": 3, "per_device_train_batch_size": 4}
LENGTHS = np.array([5, 11, 2, 11, 7, 1])
FUSED, STOCK = TOY, replace(TOY, head=None)


@pytest.fixture(autouse=True, scope="module")
def known_to_transformers() -> None:
    AutoConfig.register("toy", ToyConfig, exist_ok=True)
    AutoModel.register(ToyConfig, ToyModel, exist_ok=True)
    AutoModelForSequenceClassification.register(
        ToyConfig, ToyForSequenceClassification, exist_ok=True
    )


@pytest.fixture(params=[FUSED, STOCK], ids=["fused", "stock"])
def toy(request: pytest.FixtureRequest) -> Iterator[Family]:
    """The family, registered for as long as a test runs."""
    with FAMILIES.temporarily("toy", request.param) as family:
        yield family


def test_unregistered_it_is_padded() -> None:
    assert family_of("toy").way is Way.PADDED


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["plain", "compiled"])
def test_packed_it_gives_what_padded_it_does(
    toy: Family, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dropout is the same too."""
    monkeypatch.setitem(CONFIGS, "toy", {"pad_token_id": 1})
    base = tiny_model("toy", dropout=0.2).to(dtype).train()
    ids_T = torch.randint(3, 50, (37,), generator=torch.Generator().manual_seed(1))
    with PaddedModel(base, base, dropout_seed=7).active() as padded:
        expected = padded(ragged(ids_T, LENGTHS), step=3)
        expected_gradients = gradients(base, expected)
    with packed_model(base, base, dropout_seed=7).active() as packed:
        logits = packed(ragged(ids_T, LENGTHS), step=3)
        found = gradients(base, logits)
    tolerance = 1e-9 if dtype == torch.float64 else 1e-3
    torch.testing.assert_close(logits, expected, rtol=tolerance, atol=tolerance)
    assert found.keys() == expected_gradients.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected_gradients.values())
    for name, gradient in expected_gradients.items():
        assert float((found[name] - gradient).abs().max()) < tolerance * largest, name


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("lora", {}),
        ("houlsby", {}),
        ("pfeiffer", {}),
        ("bitfit", {"biases": "query-intermediate"}),
        ("top-layers", {"num_layers": 1}),
    ],
)
def test_it_trains_and_predicts_what_it_recorded(
    toy: Family,
    method: str,
    settings: dict[str, Any],
    make_trial: MakeTrial,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(CONFIGS, "toy", {"pad_token_id": 1})
    folder = write_tiny_checkpoint(tmp_path / "toy", "toy")
    trial = make_trial(model=folder, method=method, settings=settings, **SHORT)
    outcome = run_alone(trial, tmp_path / "trial")
    assert outcome.costs.path.startswith(toy.way)
    record = TrialRecord(trial=trial, status="done", arms={}, folder=tmp_path / "trial")
    rows = [row.texts for row in DemoSource().examples(TASKS.get(trial.task), "dev")]
    logits = Predictor(device="cpu").logits(record, rows[:24])
    recorded = read_predictions(tmp_path / "trial" / "predictions.parquet").logits
    assert np.array_equal(logits, recorded)
