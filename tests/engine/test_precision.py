"""`bf16` rounds the same operands in all engines; a precision that a device lacks is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from peftlab.core.errors import UserError
from peftlab.core.training import TrainingSettings
from peftlab.core.trial import Trial
from peftlab.data.predictions import read_predictions
from peftlab.engine.classifier import build_classifier
from peftlab.engine.dataset import TrialData
from peftlab.engine.devices.accelerators import Cuda
from peftlab.engine.devices.processor import Processor
from peftlab.engine.evaluate import predict_logits
from peftlab.engine.precision import precision_of
from peftlab.engine.prepare import base_model, prepare
from peftlab.models.checkpoints import load_model
from tests.engine.running import run_alone
from tests.engine.test_loop import CPU, run, step_losses

MakeTrial = Callable[..., Trial]
DataOf = Callable[[Trial], TrialData]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_engines_take_the_same_steps_in_bf16(
    method: str, make_trial: MakeTrial, data_of: DataOf
) -> None:
    """They differ from those in float32, but not by much. A trial in fp32 after one in bf16 is not
    affected by it, in the Trainer too."""
    losses = {}
    for engine in ("trainer", "packed", "padded"):
        for bf16 in (True, False):
            trial = make_trial(method=method, engine=engine, rows=16, max_steps=4, bf16=bf16)
            losses[engine, bf16] = step_losses(run(trial, data_of(trial), dropout=False)[0])
    exact = losses["padded", False]
    for engine in ("packed", "padded", "trainer"):
        rounded = losses[engine, True]
        assert losses[engine, False] == pytest.approx(exact, rel=1e-5)
        assert rounded == pytest.approx(exact, rel=2e-2)
        assert rounded != pytest.approx(exact, rel=1e-5)
    assert losses["trainer", True] == pytest.approx(losses["padded", True], rel=2e-3)
    # torch rounds the results of products too, our kernels their factors alone.
    assert losses["packed", True] == pytest.approx(losses["padded", True], rel=1e-2)


def test_packed_and_padded_drop_the_same_in_bf16(make_trial: MakeTrial, data_of: DataOf) -> None:
    losses = {}
    for engine in ("packed", "padded"):
        trial = make_trial(engine=engine, rows=16, max_steps=3, bf16=True)
        losses[engine] = step_losses(run(trial, data_of(trial))[0])
    assert losses["packed"] == pytest.approx(losses["padded"], rel=2e-2)


@pytest.mark.parametrize("engine", ["packed", "padded"])
def test_operands_alone_are_rounded_and_logits_are_float32(
    engine: str, make_trial: MakeTrial, data_of: DataOf
) -> None:
    trial = make_trial(bf16=True)
    base = load_model(trial.model.name, num_labels=2, seed=1)
    classifier = build_classifier(engine, base, base, CPU, training=trial.training)
    assert classifier.path.endswith(", bf16")
    if engine == "packed":
        assert "compiled kernels" in classifier.path
    with classifier.active():
        logits = classifier.logits(data_of(trial).train, np.arange(3))
    logits.sum().backward()
    assert logits.dtype == torch.float32
    assert {p.grad.dtype for p in base.parameters() if p.grad is not None} == {torch.float32}
    assert {p.dtype for p in base.parameters()} == {torch.float32}


@pytest.mark.parametrize("engine", ["packed", "padded"])
def test_a_trial_in_bf16_predicts_in_bf16_later_on(
    engine: str, make_trial: MakeTrial, tmp_path: Path
) -> None:
    """Its predictions equal those stored when it was evaluated."""
    trial = make_trial(engine=engine, rows=16, max_steps=2, bf16=True)
    run_alone(trial, tmp_path / "trial")
    stored = read_predictions(tmp_path / "trial" / "predictions.parquet").logits
    found = {}
    for bf16 in (True, False):
        training = trial.training.model_copy(update={"bf16": bf16})
        other = trial.model_copy(update={"training": training})
        device = Processor("cpu")
        prepared = prepare(other, cache=tmp_path / "cache", device=device)
        base = base_model(other)
        module = prepared.method.load(base, tmp_path / "trial" / "model")
        settings = TrainingSettings(bf16=bf16)
        classifier = build_classifier(engine, module, base, device.torch, training=settings)
        with classifier.active():
            found[bf16] = predict_logits(classifier, prepared.data.dev, batch_size=8)
    np.testing.assert_allclose(found[True], stored, rtol=1e-2, atol=1e-2)
    assert np.abs(found[True] - stored).max() < np.abs(found[False] - stored).max() / 2


@pytest.mark.parametrize("engine", ["packed", "padded", "trainer"])
def test_with_bf16_full_eval_predictions_alone_are_rounded(
    engine: str, make_trial: MakeTrial, tmp_path: Path
) -> None:
    found = {}
    for rounds in (True, False):
        trial = make_trial(engine=engine, rows=16, max_steps=2, bf16_full_eval=rounds)
        folder = tmp_path / str(rounds)
        run_alone(trial, folder)
        with safe_open(next((folder / "model").glob("*.safetensors")), "pt") as tensors:
            weights = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
        found[rounds] = weights, read_predictions(folder / "predictions.parquet").logits
    for name, weight in found[True][0].items():
        assert torch.equal(weight, found[False][0][name]), name
    (_, rounded), (_, exact) = found[True], found[False]
    assert not np.array_equal(rounded, exact)
    np.testing.assert_allclose(rounded, exact, rtol=2e-2, atol=2e-2)


def test_beside_bf16_that_of_evaluation_is_no_other_trial() -> None:
    assert TrainingSettings(bf16=True, bf16_full_eval=True) == TrainingSettings(bf16=True)


def test_tf32_is_refused_on_a_processor_before_anything_is_trained(
    make_trial: MakeTrial, tmp_path: Path
) -> None:
    with pytest.raises(
        UserError, match="tf32 = true cannot be computed on 'cpu': TF32 is a format"
    ):
        run_alone(make_trial(tf32=True), tmp_path / "trial")


@pytest.mark.parametrize(("capability", "is_there"), [((7, 5), False), ((8, 0), True)])
def test_cards_before_ampere_have_neither(
    capability: tuple[int, int], is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    for name in ("bf16", "bf16_full_eval", "tf32"):
        training = TrainingSettings.model_validate({name: True})
        if is_there:
            with precision_of(training, Cuda("cuda")):
                found = torch.backends.cuda.matmul.fp32_precision
                assert found == ("tf32" if name == "tf32" else "ieee")
        else:
            with pytest.raises(UserError, match=f"{name} = true .*older than Ampere's"):
                precision_of(training, Cuda("cuda")).__enter__()


def test_precision_is_as_before_after_a_trial() -> None:
    before = torch.backends.fp32_precision
    with precision_of(TrainingSettings(), Processor("cpu")):
        assert torch.backends.fp32_precision == "ieee"
    assert torch.backends.fp32_precision == before
