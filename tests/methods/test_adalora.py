"""AdaLoRA prunes within a training of known length, by the loss and the schedule of its paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from peftlab.core.errors import UserError
from peftlab.methods.registry import METHODS
from tests.methods.conformance_model import LABELS, padded_batch, tiny_bert

ADALORA = METHODS.get("adalora")


def applied(**settings: Any) -> torch.nn.Module:
    config = ADALORA.resolve({"init_r": 4, "target_r": 2, **settings})
    return ADALORA.apply(tiny_bert(), config, seed=1)


def take_steps(module: torch.nn.Module, first: int, last: int) -> None:
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.05)
    for step in range(first, last + 1):
        cross_entropy(module(**padded_batch()).logits, LABELS).backward()
        optimizer.step()
        ADALORA.after_step(module, step)
        optimizer.zero_grad()


def num_kept(module: torch.nn.Module) -> int:
    values = [p for name, p in module.named_parameters() if "lora_E" in name]
    return sum(int((value != 0).sum()) for value in values)


def test_the_loss_with_the_penalty_is_that_of_peft_s_own_forward_pass() -> None:
    module = applied()
    with torch.no_grad():
        output = module(**padded_batch(), labels=LABELS)
        penalty = ADALORA.penalty(module)
    assert penalty is not None
    expected = cross_entropy(output.logits, LABELS) + penalty
    torch.testing.assert_close(output.loss, expected)


def test_ranks_are_pruned_to_the_target_by_the_end_of_the_schedule() -> None:
    module = applied(tinit=1, tfinal=3)
    ADALORA.begin_training(module, 10)
    take_steps(module, 1, 1)
    assert num_kept(module) == 4 * 4  # two layers of two targets, four ranks in each
    take_steps(module, 2, 10)
    assert num_kept(module) == 4 * 2


def test_a_share_of_the_steps_comes_before_and_after_the_pruning_by_default() -> None:
    module = applied()
    ADALORA.begin_training(module, 100)
    config = next(iter(module.base_model.peft_config.values()))  # type: ignore[union-attr, operator]
    assert (config.tinit, config.tfinal, config.total_step) == (10, 30, 100)


def test_what_is_kept_between_steps_comes_back() -> None:
    whole, resumed = applied(), applied()
    for module in (whole, resumed):
        ADALORA.begin_training(module, 10)
    take_steps(whole, 1, 7)
    values = dict(whole.named_parameters())
    with torch.no_grad():
        for name, parameter in resumed.named_parameters():
            parameter.copy_(values[name])
    ADALORA.restore(resumed, {key: value.clone() for key, value in ADALORA.state(whole).items()})
    for module in (whole, resumed):
        take_steps(module, 8, 10)
    for name, parameter in resumed.named_parameters():
        assert torch.equal(parameter, values[name]), name
    with pytest.raises(ValueError, match="not of adalora"):
        ADALORA.restore(resumed, {"other:x": torch.zeros(1)})


def test_pruned_ranks_are_saved_as_zeros(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    module = applied()
    ADALORA.begin_training(module, 10)
    take_steps(module, 1, 10)
    ADALORA.save(module, tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert {len(value) for name, value in saved.items() if "lora_E" in name} == {4}
    assert ADALORA.state(module)["rank_pattern:" + _first_e(module)].dtype == torch.bool


def _first_e(module: torch.nn.Module) -> str:
    names = (name for name, _ in module.base_model.model.named_parameters())  # type: ignore[union-attr, operator]
    return next(name for name in names if "lora_E" in name)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tinit": -1}, "tinit = -1 is not valid: it is a number of steps"),
        ({"target_r": 12}, "target_r = 12 is not valid"),
        ({"total_step": 5}, "unknown setting of the method adalora 'total_step'"),
    ],
)
def test_a_schedule_that_cannot_be_is_named(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        ADALORA.resolve(settings, where="arms.x")


def test_a_training_too_short_to_prune_in_is_refused() -> None:
    module = applied(tinit=5, tfinal=5)
    with pytest.raises(UserError, match="prunes between its first 5 and last 5 steps"):
        ADALORA.begin_training(module, 10)
