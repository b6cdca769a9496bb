"""Every training setting is honoured by all engines alike: they take the same steps with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from peftlab.core.errors import UserError
from peftlab.core.trial import Trial
from peftlab.engine.dataset import TrialData
from peftlab.engine.registry import ENGINES
from tests.engine.test_loop import run, step_losses

MakeTrial = Callable[..., Trial]
DataOf = Callable[[Trial], TrialData]
WithoutSettings = Callable[..., dict[str, torch.Tensor]]

SETTINGS: dict[str, dict[str, Any]] = {
    "balanced": {"class_weights": "balanced"},
    "weights": {"class_weights": {"negative": 3.0}},
    "weights, smoothed": {"class_weights": {"positive": 0.0}, "label_smoothing_factor": 0.2},
    "smoothing": {"label_smoothing_factor": 0.2},
    "half an epoch": {"num_train_epochs": 0.5},
    "a fraction": {"num_train_epochs": 1.4},
    "restarts": {
        "lr_scheduler_type": "cosine_with_restarts",
        "lr_scheduler_kwargs": {"num_cycles": 2},
    },
    "polynomial": {"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"power": 2}},
    "inverse_sqrt": {"lr_scheduler_type": "inverse_sqrt"},
    "sgd": {"optim": "sgd", "learning_rate": 0.2},
    "adafactor": {"optim": "adafactor"},
    "adagrad": {"optim": "adagrad"},
    "rmsprop": {"optim": "rmsprop", "learning_rate": 1e-4},
    "layers": {"layerwise_lr_decay": 0.5},
}
"""Settings, each under a name; each of them must change the steps."""


def imbalanced(data: TrialData) -> TrialData:
    """Return the data with the label of every other row of class 0 flipped."""
    labels = data.train.labels.copy()
    labels[np.flatnonzero(labels == 0)[::2]] = 1
    return replace(data, train=replace(data.train, labels=labels))


# 45 rows, two micro-batches of 8 a step: the last step of an epoch has 13, of 8 and 5.
COMMON: dict[str, Any] = {"rows": 45, "gradient_accumulation_steps": 2, "max_grad_norm": 0.5}


@pytest.fixture(scope="module")
def without_settings(make_trial: MakeTrial, data_of: DataOf) -> WithoutSettings:
    """The function that returns a method's weights after steps at a learning rate, taken once."""

    @cache
    def trained(method: str, **rate: float) -> dict[str, torch.Tensor]:
        trial = make_trial(method=method, **COMMON, **rate)
        _, _, weights = run(trial, imbalanced(data_of(trial)), dropout=False)
        return weights

    return trained


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("name", SETTINGS)
def test_without_dropout_all_engines_take_the_same_steps_by_every_setting(
    name: str,
    method: str,
    make_trial: MakeTrial,
    data_of: DataOf,
    without_settings: WithoutSettings,
) -> None:
    losses, weights = {}, {}
    for engine in ENGINES.names():
        trial = make_trial(method=method, engine=engine, **(COMMON | SETTINGS[name]))
        tally, _, weights[engine] = run(trial, imbalanced(data_of(trial)), dropout=False)
        losses[engine] = step_losses(tally)
        # The bias of the keys has no effect: its gradient is rounding, which AdamW makes steps of.
        weights[engine] = {k: v for k, v in weights[engine].items() if not k.endswith("key.bias")}
    for other in ENGINES.names():
        assert losses["packed"] == pytest.approx(losses[other], rel=1e-4), other
        for parameter, value in weights["packed"].items():
            torch.testing.assert_close(weights[other][parameter], value, rtol=1e-3, atol=2e-5)
    rate = {key: value for key, value in SETTINGS[name].items() if key == "learning_rate"}
    others = without_settings(method, **rate)
    is_other = any(
        not torch.allclose(others[parameter], value, rtol=1e-3, atol=2e-5)
        for parameter, value in weights["packed"].items()
    )
    assert is_other, "the setting has no effect"


def test_a_step_has_the_sum_of_weighted_losses_over_the_number_of_examples(
    make_trial: MakeTrial, data_of: DataOf
) -> None:
    """The mean of torch divides by the sum of the weights, which would be another loss."""
    trial = make_trial(
        rows=16, per_device_train_batch_size=16, max_steps=1, class_weights={"negative": 3.0}
    )
    data = data_of(trial)
    assert data.task.labels == ("negative", "positive")
    tally, _, _ = run(trial, data, dropout=False)
    plain = make_trial(rows=16, per_device_train_batch_size=16, max_steps=1)
    kept: list[tuple[torch.Tensor, Any]] = []

    def keep(logits: torch.Tensor, labels: Any) -> torch.Tensor:
        kept.append((logits.detach(), labels))
        return logits.sum()

    from peftlab.engine import loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loss, "summed_loss", keep)
        run(plain, data, dropout=False)
    ((logits, labels),) = kept
    classes = torch.from_numpy(labels)
    each = cross_entropy(logits, classes, reduction="none")
    weights = torch.tensor([3.0, 1.0])[classes]
    expected = float((weights * each).sum() / 16)
    assert step_losses(tally) == [pytest.approx(expected, rel=1e-6)]
    assert expected != pytest.approx(float((weights * each).sum() / weights.sum()), rel=1e-2)


def test_evaluation_has_the_plain_loss_whatever_is_trained_on(
    make_trial: MakeTrial, data_of: DataOf
) -> None:
    given = {"class_weights": {"negative": 5.0}, "label_smoothing_factor": 0.3}
    for engine in ENGINES.names():
        weighted = make_trial(engine=engine, max_steps=1, **given)
        plain = make_trial(engine=engine, max_steps=1)
        first = run(weighted, data_of(weighted), dropout=False)[0].evaluations[0]
        assert (
            first.eval_loss == run(plain, data_of(plain), dropout=False)[0].evaluations[0].eval_loss
        )


@pytest.mark.parametrize("engine", ENGINES.names())
def test_weights_of_a_label_that_there_is_not_are_refused_by_name(
    engine: str, make_trial: MakeTrial, data_of: DataOf
) -> None:
    trial = make_trial(engine=engine, class_weights={"negativ": 2})
    with pytest.raises(UserError, match=r"unknown label .* 'negativ', did you mean 'negative'"):
        run(trial, data_of(trial))


@pytest.mark.parametrize("engine", ENGINES.names())
@pytest.mark.parametrize(("method", "model"), [("full", ""), ("lora", ""), ("lora", "minilm")])
def test_recomputed_layers_give_the_same_bits(
    engine: str, method: str, model: str, make_trial: MakeTrial, data_of: DataOf
) -> None:
    """No id thus depends on it; dropout is on."""
    more: dict[str, Any] = {"model": model} if model else {}
    if method == "lora":
        more["settings"] = {"r": 2, "lora_dropout": 0.1}
    found = {}
    for recomputes in (False, True):
        trial = make_trial(
            method=method, engine=engine, rows=16, max_steps=3,
            gradient_checkpointing=recomputes, **more,
        )  # fmt: skip
        found[recomputes] = run(trial, data_of(trial))
    assert step_losses(found[True][0]) == step_losses(found[False][0])
    for name, value in found[False][2].items():
        assert torch.equal(found[True][2][name], value), name
