"""Training from cached lower layers takes the steps of training through them in eval mode."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from peftlab.core.trial import Trial
from peftlab.data.states import EncodedWithStates
from peftlab.engine.classifier import Classifier, build_classifier
from peftlab.engine.dataset import TrialData
from peftlab.engine.frozen import cache_frozen_layers
from peftlab.engine.tally import Tally
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import load_model
from peftlab.models.fused import jit
from peftlab.models.fused.blocks import embeddings_of, layers_of
from peftlab.models.fused_model import FusedModel
from tests.engine.running import train

CPU = torch.device("cpu")
MakeTrial = Callable[..., Trial]
DataOf = Callable[[Trial], TrialData]
TOP = {"r": 4, "layers_to_transform": [1], "lora_dropout": 0.1}
# method, its settings, and how many of the tiny checkpoint's two layers stay frozen
CASES: list[tuple[str, dict[str, Any], int]] = [("head", {}, 2), ("lora", TOP, 1)]


def classifier_of(trial: Trial, *, dropout: bool = True) -> Classifier:
    base = load_model(trial.model.name, num_labels=2, seed=trial.seed)
    method = METHODS.get(trial.method)
    module = method.apply(base, trial.method_config, seed=trial.seed)
    if not dropout:
        for child in module.modules():
            if isinstance(child, nn.Dropout):
                child.p = 0.0
    return build_classifier(trial.engine, module, base, CPU, dropout_seed=trial.seeds.dropout)


def run(trial: Trial, data: TrialData, classifier: Classifier) -> tuple[Tally, list[torch.Tensor]]:
    tally = train(classifier, trial, data)
    trained = [p.detach() for p in classifier.module.parameters() if p.requires_grad]
    return tally, trained


def losses(tally: Tally) -> list[float]:
    return [
        loss for record in tally.evaluations for loss in (record.eval_loss, *record.step_losses)
    ]


def never(*_: Any, **__: Any) -> None:
    raise AssertionError("the states were computed again")


def in_eval_mode_below(classifier: Classifier, depth: int) -> Classifier:
    """Provide the plain twin: the lowest blocks and the embeddings always stay in eval mode."""
    base = classifier.model.base
    for module in (*embeddings_of(base), *layers_of(base)[:depth]):
        for child in module.modules():
            child.training = False
        module.train = lambda mode=True, module=module: module  # type: ignore[method-assign, misc]
    return classifier


@pytest.mark.parametrize(("method", "settings", "depth"), CASES)
def test_without_dropout_the_steps_are_those_of_the_uncached_trial(
    method: str,
    settings: dict[str, Any],
    depth: int,
    make_trial: MakeTrial,
    data_of: DataOf,
    tmp_path: Path,
) -> None:
    trial = make_trial(method=method, settings=settings, task="demo-paraphrase", rows=60)
    data = data_of(trial)
    expected, expected_parameters = run(trial, data, classifier_of(trial, dropout=False))
    classifier = classifier_of(trial, dropout=False)
    cached = cache_frozen_layers(classifier, trial, data, tmp_path)
    assert cached.num_layers == depth
    found, parameters = run(trial, cached.data, classifier)
    assert len(losses(found)) == 3 + 16
    assert losses(found) == pytest.approx(losses(expected), rel=1e-5)
    assert len(set(losses(found))) > 15, "it does train"
    for parameter, other in zip(parameters, expected_parameters, strict=True):
        torch.testing.assert_close(parameter, other, rtol=1e-3, atol=1e-5)
    assert (found.tokens, found.padded_tokens) == (expected.tokens, expected.padded_tokens)


@pytest.mark.parametrize(("method", "settings", "depth"), CASES)
def test_with_dropout_the_steps_are_those_of_a_twin_whose_lower_blocks_are_in_eval_mode(
    method: str,
    settings: dict[str, Any],
    depth: int,
    make_trial: MakeTrial,
    data_of: DataOf,
    tmp_path: Path,
) -> None:
    accumulated = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
    trial = make_trial(method=method, settings=settings, **accumulated)
    data = data_of(trial)
    twin, _ = run(trial, data, in_eval_mode_below(classifier_of(trial), depth))
    usual, _ = run(trial, data, classifier_of(trial))
    classifier = classifier_of(trial)
    cached = cache_frozen_layers(classifier, trial, data, tmp_path)
    found, _ = run(trial, cached.data, classifier)
    assert losses(found) == pytest.approx(losses(twin), rel=1e-5)
    assert losses(found) != pytest.approx(losses(usual), rel=1e-3), "another mathematics"


@pytest.mark.parametrize(("method", "depth"), [("head", 6), ("lora", 4)])
def test_on_minilm_the_losses_are_those_of_the_uncached_trial(
    method: str, depth: int, make_trial: MakeTrial, data_of: DataOf, tmp_path: Path
) -> None:
    settings = {"r": 4, "layers_to_transform": [4, 5]} if method == "lora" else {}
    keys = {"model": "minilm", "rows": 24, "num_train_epochs": 1, "learning_rate": 1e-3}
    trial = make_trial(method=method, settings=settings, **keys)
    data = data_of(trial)
    expected, _ = run(trial, data, classifier_of(trial, dropout=False))
    classifier = classifier_of(trial, dropout=False)
    cached = cache_frozen_layers(classifier, trial, data, tmp_path)
    assert cached.words == f"eval-mode prefix of {depth} layers"
    found, _ = run(trial, cached.data, classifier)
    assert losses(found) == pytest.approx(losses(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("method", "settings"),
    [("full", {}), ("bitfit", {}), ("bitfit-frozen-head", {}), ("lora", {"r": 4})],
)
def test_where_the_lowest_layer_trains_the_data_are_as_they_were(
    method: str,
    settings: dict[str, Any],
    make_trial: MakeTrial,
    data_of: DataOf,
    tmp_path: Path,
) -> None:
    trial = make_trial(method=method, settings=settings)
    data = data_of(trial)
    cached = cache_frozen_layers(classifier_of(trial), trial, data, tmp_path)
    assert cached.data is data
    assert (cached.num_layers, cached.words) == (0, "nothing frozen to cache")
    assert list(tmp_path.iterdir()) == []


def test_a_padded_classifier_runs_as_usual_and_says_why(
    make_trial: MakeTrial, data_of: DataOf, tmp_path: Path
) -> None:
    trial = make_trial(method="head", engine="padded")
    data = data_of(trial)
    cached = cache_frozen_layers(classifier_of(trial), trial, data, tmp_path)
    assert cached.data is data
    assert (cached.num_layers, cached.words) == (0, "no fused blocks whose outputs to cache")


def test_trials_of_one_depth_share_the_states_whatever_their_method_and_seed(
    make_trial: MakeTrial, data_of: DataOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cached(**keys: Any) -> TrialData:
        trial = make_trial(**keys)
        return cache_frozen_layers(classifier_of(trial), trial, data_of(trial), tmp_path).data

    first = cached(method="lora", settings=TOP)
    with monkeypatch.context() as broken:
        broken.setattr(FusedModel, "states", never)
        other = cached(method="lora", settings={**TOP, "r": 2}, seed=2)
    for data in (first, other):
        assert isinstance(data.train, EncodedWithStates)
        assert isinstance(data.dev, EncodedWithStates)
        assert data.train.states.shape == (len(data.train.ids), 16)
    assert np.array_equal(first.train.states, other.train.states)  # type: ignore[attr-defined]
    assert len(list((tmp_path / "frozen").iterdir())) == 2
    head = cached(method="head")
    assert head.train.states.shape == (len(head.train), 16)  # type: ignore[attr-defined]
    assert len(list((tmp_path / "frozen").iterdir())) == 4
    cached(method="head", rows=20)
    cached(method="head", max_length=12)
    assert len(list((tmp_path / "frozen").iterdir())) == 4 + 1 + 2, "dev is the same of 20 rows"


def test_states_of_plain_kernels_are_kept_apart(
    make_trial: MakeTrial, data_of: DataOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = make_trial(method="head")
    first = cache_frozen_layers(classifier_of(trial), trial, data_of(trial), tmp_path).data
    monkeypatch.setattr(jit, "ENABLED", False)
    second = cache_frozen_layers(classifier_of(trial), trial, data_of(trial), tmp_path).data
    assert len(list((tmp_path / "frozen").iterdir())) == 4
    np.testing.assert_allclose(
        first.train.states,  # type: ignore[attr-defined]
        second.train.states,  # type: ignore[attr-defined]
        rtol=1e-3,
        atol=1e-5,
    )
