"""Every method of the registry keeps its promises, on a tiny random BERT."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from peftlab.core.errors import UserError
from peftlab.engine.classifier import build_classifier
from peftlab.methods.base import Method
from peftlab.methods.parameters import FROZEN_ORIGINAL, count_module
from peftlab.methods.peft_method import expected_warnings
from peftlab.methods.registry import METHODS
from peftlab.models.head import head_parameter_names
from peftlab.models.packing import packed_model
from peftlab.models.padding import PaddedModel
from tests.methods.conformance_model import (
    LABELS,
    logits,
    padded_batch,
    rows,
    tiny_bert,
)

NAMES = METHODS.names()
# Sums in another order: packed, merged, or by factors that give the identity.
ROUNDING = 2e-5
CPU = torch.device("cpu")


@dataclass
class Trained:
    """A method after three steps, which must not be changed."""

    method: Method
    base: PreTrainedModel
    plain: torch.Tensor
    at_start: torch.Tensor
    before: dict[str, torch.Tensor]
    with_gradient: set[str]
    module: nn.Module
    trained: torch.Tensor


def tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    named = [*module.named_parameters(), *module.named_buffers()]
    return {key: value.detach().clone() for key, value in named}


@cache
def after_training(name: str) -> Trained:
    method, base = METHODS.get(name), tiny_bert()
    module = method.apply(base, method.resolve({}), seed=1)
    at_start, before = logits(module), tensors(module)
    module.train()
    method.begin_training(module, 4)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=0.02, weight_decay=0)
    with_gradient: set[str] = set()
    for step in range(1, 4):
        cross_entropy(module(**padded_batch()).logits, LABELS).backward()
        penalty = method.penalty(module)
        if penalty is not None:
            penalty.backward()
        named = module.named_parameters()
        with_gradient |= {key for key, value in named if value.grad is not None}
        optimizer.step()
        method.after_step(module, step)
        optimizer.zero_grad()
    return Trained(
        method=method,
        base=base,
        plain=logits(tiny_bert()),
        at_start=at_start,
        before=before,
        with_gradient=with_gradient,
        module=module,
        trained=logits(module),
    )


@pytest.mark.parametrize("name", NAMES)
def test_at_step_0_the_model_is_what_it_was_where_the_method_says_so(name: str) -> None:
    case = after_training(name)
    is_identity = torch.allclose(case.at_start, case.plain, rtol=0, atol=ROUNDING)
    assert is_identity or not case.method.is_identity_at_start
    assert not torch.allclose(case.trained, case.plain, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_only_what_the_method_declares_gets_a_gradient_and_changes(name: str) -> None:
    case = after_training(name)
    declared = {key for key, value in case.module.named_parameters() if value.requires_grad}
    assert case.with_gradient == declared
    after = tensors(case.module)
    changed = {key for key, value in after.items() if not torch.equal(value, case.before[key])}
    assert changed <= declared
    assert {key for key in declared if not is_head(key)} <= changed


def is_head(key: str) -> bool:
    return "classifier" in key


@pytest.mark.parametrize("name", NAMES)
def test_the_head_learns_where_the_method_says_so(name: str) -> None:
    case = after_training(name)
    weights = [
        key
        for key in case.with_gradient
        if key.endswith(("classifier.weight", "classifier.modules_to_save.default.weight"))
    ]
    assert bool(weights) == case.method.trains_head


@pytest.mark.parametrize("name", NAMES)
def test_packed_equals_padded_or_the_method_says_why_it_is_not_packed(name: str) -> None:
    case = after_training(name)
    why_not = case.method.why_not_packed
    if why_not is not None:
        classifier = build_classifier("packed", case.module, case.base, CPU, method=case.method)
        assert classifier.path == f"padded: {why_not}"
        return
    case.module.train()
    padded = PaddedModel(case.module, case.base)
    with padded.active():
        expected = logits_and_gradients(case, padded(rows()))
    packed = packed_model(case.module, case.base)
    with packed.active():
        found = packed(rows(with_types=True))
        torch.testing.assert_close(
            logits_and_gradients(case, found), expected, rtol=1e-3, atol=ROUNDING
        )


def logits_and_gradients(case: Trained, found: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the logits, and the gradients of the mean loss by parameter, cleared afterwards."""
    cross_entropy(found, LABELS).backward()
    values = {"": found.detach()}
    for key, parameter in case.module.named_parameters():
        if parameter.grad is not None:
            values[key], parameter.grad = parameter.grad, None
    return values


@pytest.mark.parametrize("name", NAMES)
def test_what_is_saved_gives_the_same_bits_in_our_loader_and_in_peft_s(
    name: str, tmp_path: Path
) -> None:
    from peft import PeftModel

    case = after_training(name)
    case.method.save(case.module, tmp_path / "model")
    assert not list((tmp_path / "model").glob("*.bin"))
    loaded = case.method.load(with_other_head(), tmp_path / "model")
    assert torch.equal(logits(loaded), case.trained)
    if isinstance(case.module, PeftModel):
        with expected_warnings():
            loaded = PeftModel.from_pretrained(with_other_head(), str(tmp_path / "model"))
        assert torch.equal(logits(loaded), case.trained)


def with_other_head() -> nn.Module:
    """Return the model with another head, on which a loaded method must not depend."""
    model = tiny_bert()
    with torch.no_grad():
        for key in head_parameter_names(model):
            model.get_parameter(key).normal_()
    return model


@pytest.mark.parametrize("name", NAMES)
def test_merged_equals_unmerged_or_the_method_refuses(name: str, tmp_path: Path) -> None:
    case = after_training(name)
    case.method.save(case.module, tmp_path / "model")
    module = case.method.load(tiny_bert(), tmp_path / "model")
    if not case.method.can_merge:
        with pytest.raises(UserError, match="cannot be merged"):
            case.method.merged(module)
        return
    merged = case.method.merged(module)
    torch.testing.assert_close(logits(merged), case.trained, rtol=0, atol=ROUNDING)
    assert merged.state_dict().keys() == tiny_bert().state_dict().keys()
    assert not [child for child in merged.modules() if type(child).__module__.startswith("peft")]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_method_makes_follows_from_the_seed_alone(name: str, tmp_path: Path) -> None:
    method = METHODS.get(name)

    def saved(seed: int, folder: str) -> dict[str, bytes]:
        module = method.apply(tiny_bert(), method.resolve({}), seed=seed)
        method.save(module, tmp_path / folder)
        return {file.name: file.read_bytes() for file in (tmp_path / folder).iterdir()}

    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first = saved(1, "first")
    assert torch.equal(torch.rand(2), expected)
    assert saved(1, "again") == first
    assert (saved(2, "other") != first) == method.draws


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_counted_once(name: str) -> None:
    plain, module = tiny_bert(), after_training(name).module
    own = frozenset(key for key, _ in plain.named_parameters())
    head = frozenset(head_parameter_names(plain))
    count = count_module(module, own=own, head=head)
    sizes = {
        id(parameter): (parameter.numel(), parameter.requires_grad)
        for key, parameter in module.named_parameters(remove_duplicate=False)
        if FROZEN_ORIGINAL not in key
    }
    assert count.trainable == sum(size for size, trains in sizes.values() if trains)
    assert count.total == sum(size for size, _ in sizes.values())
    assert count.backbone + count.adapter + count.head == count.trainable
    size_of_head = sum(plain.get_parameter(key).numel() for key in head)
    assert count.head == size_of_head or not METHODS.get(name).trains_head


@pytest.mark.parametrize("name", NAMES)
def test_settings_resolve_to_themselves_and_unknown_ones_are_refused_in_one_line(name: str) -> None:
    method = METHODS.get(name)
    assert method.resolve(method.settings()) == method.settings()
    with pytest.raises(UserError) as caught:
        method.resolve({"no_such_field": 1}, where="arms.x")
    assert str(caught.value).startswith("arms.x: unknown setting")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_holds_nothing_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        METHODS.get(name).load(tiny_bert(), tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_method_that_shares_the_base_leaves_every_matrix_of_it_as_it_is(name: str) -> None:
    case = after_training(name)
    if not case.method.shares_base(case.method.resolve({})):
        return
    after = tensors(case.module).values()
    for key, value in tiny_bert().named_parameters():
        if value.ndim > 1 and not is_head(key):
            assert any(torch.equal(value, one) for one in after if one.shape == value.shape), key


def test_the_base_is_shared_where_only_vectors_adapters_and_the_head_train() -> None:
    sharing = {
        name for name in NAMES if METHODS.get(name).shares_base(METHODS.get(name).settings())
    }
    assert sharing == {
        "bitfit", "bitfit-frozen-head", "head", "houlsby", "ia3", "layernorm", "ln-tuning", "lora",
        "pfeiffer", "rslora",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "given", "shares"),
    [
        ("lora", {"r": 2, "lora_alpha": 3, "lora_dropout": 0.1, "use_rslora": True}, True),
        ("lora", {"target_modules": ["query", "dense"], "top_layers": 1}, True),
        ("lora", {"init_lora_weights": "gaussian"}, True),
        ("lora", {"init_lora_weights": "pissa"}, False),
        ("lora", {"use_dora": True}, False),
        ("lora", {"modules_to_save": ["classifier", "pooler"]}, False),
        ("lora", {"quantization": "4bit"}, False),
        ("ia3", {"target_modules": ["key"], "feedforward_modules": []}, True),
        ("ln-tuning", {"target_modules": ["query"]}, False),
        ("bitfit", {"biases": "query-intermediate"}, True),
        ("full", {"freeze_embeddings": True}, False),
    ],
)
def test_a_setting_that_may_change_a_matrix_leaves_the_base_to_the_trial_alone(
    name: str, given: dict[str, Any], shares: bool
) -> None:
    method = METHODS.get(name)
    assert method.shares_base(method.resolve(given)) is shares
