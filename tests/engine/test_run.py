"""A trial from its description to its artifacts, by every engine, and what is read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from peftlab.core.errors import UserError
from peftlab.core.types import Trial
from peftlab.data.predictions import read_predictions
from peftlab.engine.observer import SilentObserver
from peftlab.engine.registry import ENGINES
from peftlab.engine.run import Outcome, choose_device, run_trial
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import load_model

PATHS = {
    "packed": "packed, fused blocks, compiled kernels",
    "padded": "padded",
    "trainer": "transformers.Trainer",
}
MakeTrial = Callable[..., Trial]


def run(trial: Trial, folder: Path) -> Outcome:
    return run_trial(
        trial,
        workspace_cache=folder / "cache",
        artifacts=folder / "artifacts",
        observer=SilentObserver(),
        device="cpu",
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_saves_a_model_that_predicts_what_it_recorded(
    engine: str, make_trial: MakeTrial, tmp_path: Path
) -> None:
    trial = make_trial(method="lora", engine=engine, rows=16, num_train_epochs=1)
    outcome = run(trial, tmp_path)
    recorded = read_predictions(tmp_path / "artifacts" / "predictions.parquet")
    assert len(recorded.logits) == 24
    base = load_model(trial.model.name, num_labels=2, seed=0)
    module = METHODS.get("lora").load(base, tmp_path / "artifacts" / "model")

    from peftlab.engine.classifier import build_classifier
    from peftlab.engine.dataset import load_data
    from peftlab.engine.evaluate import predict_logits
    from peftlab.models.checkpoints import load_tokenizer

    data = load_data(trial, load_tokenizer(trial.model.name), tmp_path / "cache")
    classifier = build_classifier("padded", module, base, torch.device("cpu"))
    logits = predict_logits(classifier, data.dev, batch_size=8)
    np.testing.assert_allclose(logits, recorded.logits, rtol=1e-4, atol=1e-5)

    costs = outcome.costs
    assert (outcome.num_train_examples, outcome.num_eval_examples) == (16, 24)
    assert costs.parameters.trainable == costs.parameters.adapter + costs.parameters.head
    assert costs.train_seconds > 0
    assert costs.train_examples_per_second == pytest.approx(16 / costs.train_seconds)
    assert costs.threads == torch.get_num_threads()
    assert (costs.padding_avoided > 0) == (engine == "packed")
    assert costs.path == PATHS[engine]
    assert costs.artifact_bytes == sum(
        file.stat().st_size for file in (tmp_path / "artifacts" / "model").iterdir()
    )


def test_a_lora_trial_is_a_peft_adapter_that_peft_loads_to_the_same_logits(
    make_trial: MakeTrial, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    trial = make_trial(method="lora", rows=16, num_train_epochs=1)
    run(trial, tmp_path)
    folder = tmp_path / "artifacts" / "model"
    assert {file.name for file in folder.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    theirs = PeftModel.from_pretrained(
        AutoModelForSequenceClassification.from_pretrained(trial.model.name), str(folder)
    ).eval()
    ours = METHODS.get("lora").load(load_model(trial.model.name, num_labels=2, seed=9), folder)
    ids = torch.tensor([[2, 10, 11, 12, 3]])
    with torch.no_grad():
        assert torch.equal(theirs(input_ids=ids).logits, ours(input_ids=ids).logits)


def test_rows_that_changed_since_the_plan_are_refused(
    make_trial: MakeTrial, tmp_path: Path
) -> None:
    trial = make_trial()
    stale = trial.model_copy(update={"data": trial.data.model_copy(update={"digest": "0" * 64})})
    with pytest.raises(UserError, match="have changed since the trial"):
        run(stale, tmp_path)


def test_a_device_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UserError, match="no device 'nowhere' here"):
        choose_device("nowhere")
    assert choose_device("cpu").type == "cpu"
