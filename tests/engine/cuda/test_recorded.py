"""Steps that are recorded and played are the steps that the plain path takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Gemma2Config,
    Gemma2ForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    MistralConfig,
    MistralForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    PreTrainedModel,
)

from peftlab.core.errors import TrialError
from peftlab.core.trial import Trial
from peftlab.data.encode import Encoded
from peftlab.engine import recorded
from peftlab.engine.checkpoint import Checkpoint
from peftlab.engine.classifier import build_classifier
from peftlab.engine.dataset import TrialData
from peftlab.engine.recorded import RecordedSteps
from peftlab.engine.steps import Steps
from peftlab.methods.registry import METHODS
from peftlab.models.batched import PackedModel
from peftlab.models.dropout import CounterDropout
from peftlab.models.fused import backends
from peftlab.models.fused.static_batch import StaticBatch
from peftlab.models.fused_model import FusedModel
from tests.engine.cuda.playback import Playback

MakeTrial = Callable[..., Trial]
DataOf = Callable[[Trial], TrialData]

LENGTHS = np.array([3, 1, 2, 4, 1, 2, 3, 2, 1])
BUCKET = 4
TINY: dict[str, Any] = {
    "vocab_size": 12,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 6,
    "initializer_range": 0.4,
    "hidden_dropout_prob": 0.2,
    "attention_probs_dropout_prob": 0.1,
}


def short_rows(data: TrialData, labels: Any = None) -> TrialData:
    """The data with rows of a few tokens, for which the interpreter takes a bearable time."""
    num_tokens, num_rows = int(LENGTHS.sum()), len(LENGTHS)
    rows = Encoded(
        ids=(np.arange(num_tokens) % 9 + 1).astype(np.int32),
        type_ids=(np.arange(num_tokens) % 3 == 0).astype(np.uint8),
        offsets=np.concatenate([[0], np.cumsum(LENGTHS)]).astype(np.int64),
        labels=np.arange(num_rows) % 2 if labels is None else labels,
        row_ids=np.arange(num_rows),
    )
    return replace(data, train=rows)


@pytest.fixture
def played(interpreted: None, monkeypatch: pytest.MonkeyPatch) -> Playback:
    """Steps are recorded, in buckets of a few tokens, and played."""
    playback = Playback(monkeypatch)
    (taken,) = backends.BACKENDS
    monkeypatch.setattr(backends, "BACKENDS", (replace(taken, capture=playback.capture),))
    monkeypatch.setattr(recorded, "filled_up", lambda n: -(-n // BUCKET) * BUCKET)
    return playback


def causal(*, window: int | None = None, dropout: float = 0.2) -> PreTrainedModel:
    """A tiny decoder: two heads of queries share one of keys, the last token is classified."""
    return MistralForSequenceClassification(
        MistralConfig(
            vocab_size=12, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=1, intermediate_size=12, max_position_embeddings=6,
            initializer_range=0.4, attention_dropout=dropout, sliding_window=window,
            pad_token_id=0,
        )
    )  # fmt: skip


def types_as_words() -> PreTrainedModel:
    """A tiny GPT-2, which looks token types up among the words where it is given any."""
    return GPT2ForSequenceClassification(
        GPT2Config(
            vocab_size=12, n_embd=8, n_layer=1, n_head=2, n_inner=12, n_positions=6,
            initializer_range=0.4, pad_token_id=0,
        )
    )  # fmt: skip


def mean_pooled() -> PreTrainedModel:
    """A tiny encoder of stock modules that classifies the mean of all tokens."""
    return ModernBertForSequenceClassification(
        ModernBertConfig(
            vocab_size=12, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=12, max_position_embeddings=6, initializer_range=0.4,
            attention_dropout=0.1, mlp_dropout=0.1, classifier_pooling="mean", local_attention=4,
            pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2,
        )
    )  # fmt: skip


def encoder(num_layers: int = 1) -> PreTrainedModel:
    """A tiny BERT."""
    return BertForSequenceClassification(BertConfig(**TINY | {"num_hidden_layers": num_layers}))


def built(
    trial: Trial, make: Callable[[], PreTrainedModel] = encoder
) -> tuple[nn.Module, PreTrainedModel]:
    torch.manual_seed(0)
    base = make()
    method = METHODS.get(trial.method)
    module = method.apply(base, trial.method_config, seed=1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return module.train(), base


def trained(
    trial: Trial,
    data: TrialData,
    batches: list[list[int]],
    make: Callable[[], PreTrainedModel] = encoder,
) -> tuple[str, list[float], dict[str, Tensor]]:
    """How steps are taken, their losses, and the weights after them."""
    module, base = built(trial, make)
    classifier = build_classifier("packed", module, base, torch.device("cpu"), dropout_seed=3)
    with Steps.active(classifier, trial, data) as steps:
        for rows in batches:
            steps.take(np.array(rows))
        told = steps.read_losses()
        assert [step for step, _ in told] == [*range(1, len(batches) + 1)]
        weights = {name: p.detach().clone() for name, p in module.named_parameters()}
        return steps.words, [loss for _, loss in told], weights


def assert_equal_steps(
    found: tuple[list[float], dict[str, Tensor]], expected: tuple[list[float], dict[str, Tensor]]
) -> None:
    """Losses, and how far each weight is from the other's, of the way that both have gone."""
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    for name, value in expected[1].items():
        # The bias of the keys has no effect: its gradient is rounding, which AdamW makes steps of.
        if not name.endswith("key.bias"):
            torch.testing.assert_close(found[1][name], value, rtol=1e-4, atol=2e-5, msg=name)


WHOLE = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [2, 5, 1], [8]]
"""Batches of 6, 7, 6, 5 and 1 tokens: three buckets, the last batch a short one."""


@pytest.mark.parametrize(
    ("method", "num_layers", "training", "num_played"),
    [
        ("full", 1, {"max_grad_norm": 0.5}, 3),
        ("lora", 2, {}, 3),
        # Micro-batches of 5, 1; 5, 2; 5, 1; 4, 1; 1 tokens, as first and as last ones of a step.
        ("lora", 1, {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}, 4),
    ],
)
def test_recorded_steps_are_those_of_the_plain_path(
    method: str,
    num_layers: int,
    training: dict[str, Any],
    num_played: int,
    played: Playback,
    make_trial: MakeTrial,
    data_of: DataOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = {"r": 2, "lora_dropout": 0.1} if method == "lora" else {}
    trial = make_trial(method=method, settings=settings, rows=9, max_steps=5, **training)
    data, make = short_rows(data_of(trial)), partial(encoder, num_layers)
    words, *found = trained(trial, data, WHOLE, make)
    assert words == "recorded steps"
    assert played.num_played >= num_played
    monkeypatch.setattr(backends, "BACKENDS", ())
    words, *expected = trained(trial, data, WHOLE, make)
    assert words == ""
    assert_equal_steps((found[0], found[1]), (expected[0], expected[1]))


@pytest.mark.parametrize(
    ("make", "method", "training"),
    [
        (encoder, "dora", {}),
        (causal, "lora", {}),
        (causal, "full", {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}),
        (partial(causal, window=2), "lora", {}),
        (mean_pooled, "full", {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}),
    ],
)
def test_steps_of_modules_that_are_called_as_they_are_are_recorded_too(
    make: Callable[[], PreTrainedModel],
    method: str,
    training: dict[str, Any],
    played: Playback,
    make_trial: MakeTrial,
    data_of: DataOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = {} if method == "full" else {"r": 2, "lora_dropout": 0.1}
    trial = make_trial(method=method, settings=settings, rows=9, max_steps=3, **training)
    data, batches = short_rows(data_of(trial)), WHOLE[:3]
    words, *found = trained(trial, data, batches, make)
    assert words == "recorded steps"
    assert played.num_played >= 2
    monkeypatch.setattr(backends, "BACKENDS", ())
    words, *expected = trained(trial, data, batches, make)
    assert words == ""
    assert_equal_steps((found[0], found[1]), (expected[0], expected[1]))


@pytest.mark.parametrize("has_types", [True, False])
def test_rows_without_token_types_have_none_in_a_program(
    has_types: bool, played: Playback, make_trial: MakeTrial, data_of: DataOf
) -> None:
    trial = make_trial(method="lora", settings={"r": 2}, rows=9, max_steps=1)
    data = short_rows(data_of(trial))
    if not has_types:
        data = replace(data, train=replace(data.train, type_ids=None))
    module, base = built(trial, types_as_words)
    classifier = build_classifier("packed", module.eval(), base, torch.device("cpu"))
    model = classifier.model
    assert isinstance(model, PackedModel)
    with Steps.active(classifier, trial, data) as steps, torch.no_grad():
        assert steps.recorded is not None
        (part,) = steps.recorded.parts(np.array([0, 2]), 8)
        layout = steps.recorded.layout_of(part)
        static = StaticBatch(layout, torch.device("cpu"))
        recorded.copy_to(static.row, steps.recorded.row(layout, part))
        found = model.of_static(static, lambda use: 0)
        torch.testing.assert_close(found, model(part.tokens))


class Counting(nn.Module):
    """A layer with a number of the host in it, which every call changes."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.calls = 0

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return self.inner(*args, **kwargs) * (1 + 0.1 * self.calls)


class Waiting(Counting):
    """A layer that waits for the device."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        out = self.inner(*args, **kwargs)
        if not bool(out.isfinite().all()):
            raise RuntimeError("not finite")
        return out


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Counting, "a captured step gives other gradients"),
        (Waiting, "aten._local_scalar_dense.default waits for the device"),
    ],
)
def test_what_a_graph_cannot_hold_is_found_before_the_first_step(
    kind: type[Counting],
    words: str,
    played: Playback,
    make_trial: MakeTrial,
    data_of: DataOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And steps go on, one operation at a time."""

    def make() -> PreTrainedModel:
        base = causal()
        base.model.layers[0].mlp = kind(base.model.layers[0].mlp)
        return base

    trial = make_trial(method="full", rows=9, max_steps=2)
    data = short_rows(data_of(trial))
    said, *found = trained(trial, data, WHOLE[:2], make)
    assert said == f"steps not recorded: {words}"
    if kind is Waiting:
        monkeypatch.setattr(backends, "BACKENDS", ())
        _, *expected = trained(trial, data, WHOLE[:2], make)
        assert_equal_steps((found[0], found[1]), (expected[0], expected[1]))


def test_a_cap_of_scores_is_computed_padded_and_not_recorded(
    played: Playback, make_trial: MakeTrial, data_of: DataOf
) -> None:
    def make() -> PreTrainedModel:
        return Gemma2ForSequenceClassification(
            Gemma2Config(
                vocab_size=12, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                num_key_value_heads=1, head_dim=4, intermediate_size=12, pad_token_id=0,
            )
        )  # fmt: skip

    trial = make_trial(method="lora", settings={"r": 2}, rows=9, max_steps=1)
    words, *_ = trained(trial, short_rows(data_of(trial)), [[0, 1]], make)
    assert words == "steps not recorded: attention is computed padded"


def test_where_memory_is_short_half_the_examples_are_recorded_at_once(
    played: Playback, make_trial: MakeTrial, data_of: DataOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when that shows in mid-training only; the steps are those of the plain path."""
    (taken,) = backends.BACKENDS
    most = 3

    def capture(prepare: Any, program: Any) -> Any:
        if program.__self__._static.layout.num_examples > most:
            raise torch.OutOfMemoryError
        return played.capture(prepare, program)

    monkeypatch.setattr(backends, "BACKENDS", (replace(taken, capture=capture),))
    trial = make_trial(
        method="lora", settings={"r": 2}, rows=9, max_steps=3, per_device_train_batch_size=4
    )
    data, batches = short_rows(data_of(trial)), [[0, 1, 2], [2, 3, 4, 5], [0, 1, 2]]
    module, base = built(trial)
    classifier = build_classifier("packed", module, base, torch.device("cpu"), dropout_seed=3)
    with Steps.active(classifier, trial, data) as steps:
        for rows, micro_batch in zip(batches, (4, 2, 2), strict=True):
            steps.take(np.array(rows))
            assert steps.micro_batch == micro_batch
        losses = [loss for _, loss in steps.read_losses()]
        assert steps.words == "recorded steps"
        most = 0
        with pytest.raises(TrialError, match="out of memory, with one example at a time"):
            steps.take(np.array([6]))
        weights = {name: p.detach().clone() for name, p in module.named_parameters()}
    monkeypatch.setattr(backends, "BACKENDS", ())
    _, *expected = trained(trial, data, batches)
    assert_equal_steps((losses, weights), (expected[0], expected[1]))


@pytest.mark.parametrize("make", [encoder, causal])
def test_a_trial_that_is_resumed_ends_with_the_same_bits(
    make: Callable[[], PreTrainedModel], played: Playback, make_trial: MakeTrial, data_of: DataOf
) -> None:
    """Its programs are captured for other batches than those of the trial that was not stopped."""
    trial = make_trial(method="lora", settings={"r": 2}, rows=9, max_steps=3)
    data = short_rows(data_of(trial))

    def stretch(
        batches: list[list[int]], before: Checkpoint | None = None
    ) -> tuple[list[float], list[Checkpoint]]:
        """The losses, and what is saved after each step."""
        module, base = built(trial, make)
        classifier = build_classifier("packed", module, base, torch.device("cpu"), dropout_seed=3)
        saved = []
        with Steps.active(classifier, trial, data) as steps:
            if before is not None:
                steps.restore(before)
            for rows in batches:
                steps.take(np.array(rows))
                tensors = {name: tensor.clone() for name, tensor in steps.state().items()}
                progress = {"embedding_factor": steps.embedding_factor}
                saved.append(Checkpoint(step=steps.taken, tensors=tensors, progress=progress))
            assert steps.words == "recorded steps"
            return [loss for _, loss in steps.read_losses()], saved

    losses, (half, _, whole) = stretch(WHOLE[:3])
    after, (_, resumed) = stretch(WHOLE[1:3], half)
    assert after == losses[1:]
    assert whole.tensors.keys() == resumed.tensors.keys()
    assert all(torch.equal(whole.tensors[name], resumed.tensors[name]) for name in whole.tensors)


def test_keys_that_stay_those_of_the_first_step_are_told_apart(
    played: Playback, make_trial: MakeTrial, data_of: DataOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the tests above would not see a number of the host that has entered a program."""
    trial = make_trial(method="lora", settings={"r": 2}, rows=9, max_steps=2)
    data, batches = short_rows(data_of(trial)), [[2, 5], [2, 5]]
    keys_of = CounterDropout.keys_of
    monkeypatch.setattr(CounterDropout, "keys_of", lambda self, uses, step: keys_of(self, uses, 0))
    words, *found = trained(trial, data, batches)
    assert words == "steps not recorded: a captured step gives other gradients"
    monkeypatch.setattr(recorded, "LARGEST", float("inf"))  # which lets them pass
    words, wrong, _ = trained(trial, data, batches)
    assert words == "recorded steps"
    monkeypatch.setattr(backends, "BACKENDS", ())
    _, *expected = trained(trial, data, batches)
    assert_equal_steps((found[0], found[1]), (expected[0], expected[1]))
    assert wrong[0] == pytest.approx(expected[0][0], rel=1e-5)
    assert wrong[1] != pytest.approx(expected[0][1], rel=1e-3)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"optim": "sgd"}, "the optimizer is torch's"),
        ({"gradient_checkpointing": True}, "layers are recomputed"),
    ],
)
def test_what_is_not_recorded_says_why(
    given: dict[str, Any], words: str, played: Playback, make_trial: MakeTrial, data_of: DataOf
) -> None:
    trial = make_trial(rows=9, **given)
    module, base = built(trial)
    classifier = build_classifier(
        "packed", module, base, torch.device("cpu"), training=trial.training
    )
    with Steps.active(classifier, trial, short_rows(data_of(trial))) as steps:
        assert steps.words == f"steps not recorded: {words}"


def test_steps_without_all_kernels_are_not_recorded_and_are_those_of_the_plain_path(
    played: Playback, make_trial: MakeTrial, data_of: DataOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain twins stand in for two operations, one of which rests on another's output."""
    (taken,) = backends.BACKENDS
    wrong = {"Attention": "differs", "Gelu": "differs"}
    partial = replace(
        taken,
        kernels_of=lambda one: None if one.__name__ in wrong else taken.kernels_of(one),
        lacking=lambda: wrong,
    )
    monkeypatch.setattr(backends, "BACKENDS", (partial,))
    trial = make_trial(method="lora", settings={"r": 2}, rows=9, max_steps=2)
    data = short_rows(data_of(trial))
    words, *found = trained(trial, data, WHOLE[:2])
    assert words == "steps not recorded: kernels of Attention, Gelu are not used here"
    assert backends.kernels_in_words(torch.zeros(1)) == "Triton kernels (plain: Attention, Gelu)"
    monkeypatch.setattr(backends, "BACKENDS", ())
    _, *expected = trained(trial, data, WHOLE[:2])
    assert_equal_steps((found[0], found[1]), (expected[0], expected[1]))


@pytest.mark.parametrize(
    ("hook", "words"),
    [("penalty", "adds to the loss"), ("after_step", "changes the model between steps")],
)
def test_a_method_that_has_a_part_in_steps_of_its_own_is_not_recorded(
    hook: str,
    words: str,
    played: Playback,
    make_trial: MakeTrial,
    data_of: DataOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trial = make_trial(rows=9, method="lora")
    monkeypatch.setattr(type(METHODS.get("lora")), hook, lambda *given: None, raising=False)
    module, base = built(trial)
    classifier = build_classifier("packed", module, base, torch.device("cpu"))
    with Steps.active(classifier, trial, short_rows(data_of(trial))) as steps:
        assert steps.words == f"steps not recorded: lora {words}"


def test_losses_are_left_on_the_device_until_a_while_has_passed_or_they_are_asked_for(
    interpreted: None, make_trial: MakeTrial, data_of: DataOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = make_trial(rows=9)
    module, base = built(trial)
    classifier = build_classifier("packed", module, base, torch.device("cpu"))
    assert isinstance(classifier.model, FusedModel)
    with Steps.active(classifier, trial, short_rows(data_of(trial))) as steps:
        one = RecordedSteps(
            classifier.model, steps.optimizer, steps.data.train, steps.summed_loss,
            lambda prepare, program: lambda: None,
        )  # fmt: skip
        monkeypatch.setattr(recorded, "SECONDS_BETWEEN_READINGS", 1e9)
        monkeypatch.setattr(steps, "_recorded", one)
        monkeypatch.setattr(one, "_compare", lambda *given: None)
        for index in range(recorded.NUM_LOSSES + 2):
            one.losses[index % recorded.NUM_LOSSES] = float(index)
            steps.take(np.array([1]))
            told = steps.read_losses(waits=False)
            assert bool(told) == (index == recorded.NUM_LOSSES - 1)  # there is no more room
        assert steps.read_losses() == [(1025, 1024.0), (1026, 1025.0)]
        steps.take(np.array([1]))
        one.losses[2] = torch.nan
        with pytest.raises(TrialError, match="the training loss is nan"):
            steps.read_losses()
