"""The kernels' AdamW honours every setting of the engine's, and goes on from a saved state."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification

from peftlab.core.training import TrainingSettings
from peftlab.engine.optimizer import (
    build_optimizer,
    clip_gradients,
    learning_rates,
    put_state,
    set_learning_rate,
)
from peftlab.models.fused import backends

pytestmark = pytest.mark.usefixtures("interpreted")

NUM_STEPS = 3
SETTINGS: dict[str, dict[str, Any]] = {
    "decay": {"weight_decay": 0.1},
    "layers": {"layerwise_lr_decay": 0.5, "weight_decay": 0.1},
    "moments": {"adam_beta1": 0.5, "adam_beta2": 0.7, "adam_epsilon": 1e-2},
    "no clipping": {"max_grad_norm": 0.0},
    "schedule": {"lr_scheduler_type": "cosine", "warmup_steps": 2},
}


def made_model() -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=7, hidden_size=4, num_hidden_layers=2, num_attention_heads=1,
        intermediate_size=6, max_position_embeddings=5,
    )  # fmt: skip
    return BertForSequenceClassification(config)


def optimizer_of(model: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    return build_optimizer(model, settings, model)  # type: ignore[arg-type]


def take(
    model: nn.Module, optimizer: torch.optim.Optimizer, settings: TrainingSettings, step: int
) -> None:
    """Take a step by gradients that are drawn for it, as the engine does."""
    generator = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    set_learning_rate(optimizer, learning_rates(settings, total_steps=NUM_STEPS)(step))
    clip_gradients(optimizer, [*model.parameters()], settings.max_grad_norm)
    optimizer.step()


def trained(settings: TrainingSettings) -> tuple[str, dict[str, Tensor]]:
    """The name of the optimizer's class, and the weights after some steps."""
    model = made_model()
    optimizer = optimizer_of(model, settings)
    for step in range(NUM_STEPS):
        take(model, optimizer, settings, step)
    return type(optimizer).__name__, dict(model.named_parameters())


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_gives_the_weights_that_torch_gives(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingSettings.model_validate({"learning_rate": 1e-2} | SETTINGS[name])
    kind, found = trained(settings)
    assert kind == "FlatAdamW"
    monkeypatch.setattr(backends, "BACKENDS", ())
    kind, expected = trained(settings)
    assert kind == "AdamW"
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-5, atol=1e-6, msg=key)


def test_a_state_that_was_saved_is_gone_on_from_to_the_same_bits() -> None:
    settings = TrainingSettings(learning_rate=1e-2, weight_decay=0.1)
    model = made_model()
    optimizer = optimizer_of(model, settings)
    take(model, optimizer, settings, 0)
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    saved = {
        name: {key: value.clone() for key, value in optimizer.state[parameter].items()}
        for name, parameter in model.named_parameters()
    }
    take(model, optimizer, settings, 1)
    other = made_model()
    other.load_state_dict(weights, strict=False)
    again = optimizer_of(other, settings)
    for name, parameter in other.named_parameters():
        for key, value in saved[name].items():
            put_state(again, parameter, key, value)
    take(other, again, settings, 1)
    for left, right in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(left, right)
