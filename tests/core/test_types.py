"""The arithmetic of a training is that of transformers; a trial's id is all that can matter."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from peftlab.core.corrections import RULES
from peftlab.core.identity import content_id
from peftlab.core.types import (
    DataRef,
    ModelRef,
    ParameterCount,
    Seeds,
    Selection,
    TaskDefinition,
    TrainingSettings,
    Trial,
)

TRIAL = Trial(
    task="sst2",
    data=DataRef(source="hub", location="nyu-mll/glue", digest="d0"),
    model=ModelRef(name="minilm", fingerprint="f0"),
    method="lora",
    method_config={"r": 8},
    training=TrainingSettings(),
    seed=42,
    seeds=Seeds.of(42),
)
# Another value for every field of a trial and of its training.
OTHER_TRIAL: dict[str, Any] = {
    "task": "cola",
    "data": TRIAL.data.model_copy(update={"digest": "d1"}),
    "model": TRIAL.model.model_copy(update={"fingerprint": "f1"}),
    "method": "bitfit",
    "method_config": {"r": 16},
    "training": TrainingSettings(learning_rate=1e-3),
    "seed": 43,
    "seeds": TRIAL.seeds.model_copy(update={"order": 1}),
    "max_train_samples": 100,
    "max_eval_samples": 100,
    "max_length": 64,
    "engine": "padded",
    "cache_frozen": True,
    "selection": Selection(fraction=0.2),
    "rules": 1,
    "definition": TaskDefinition(
        problem_type="single_label_classification",
        labels=("bad", "good"),
        metrics=("accuracy",),
        texts=("body",),
    ),
    "head": "keep",
}
OTHER_TRAINING: dict[str, Any] = {
    "num_train_epochs": 4,
    "max_steps": 10,
    "per_device_train_batch_size": 16,
    "per_device_eval_batch_size": 16,
    "gradient_accumulation_steps": 2,
    "learning_rate": 1e-4,
    "weight_decay": 0.01,
    "adam_beta1": 0.8,
    "adam_beta2": 0.99,
    "adam_epsilon": 1e-6,
    "max_grad_norm": 0.0,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.06,
}


@pytest.mark.parametrize(
    ("given_settings", "num_examples", "per_epoch", "total", "epochs"),
    [
        # SST-2 in batches of 16: 67,349 / 16 = 4,209.3
        ({"per_device_train_batch_size": 16, "num_train_epochs": 5}, 67349, 4210, 21050, 5),
        ({"num_train_epochs": 1}, 8, 1, 1, 1),
        ({"num_train_epochs": 1}, 9, 2, 2, 1),
        ({"num_train_epochs": 3}, 1, 1, 3, 3),
        # 10 examples in batches of 2, 3 batches a step: 3 + 2 batches
        (
            {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 3},
            10,
            2,
            6,
            3,
        ),
        ({"max_steps": 5}, 16, 2, 5, 3),
        ({"max_steps": 4}, 16, 2, 4, 2),
        ({"max_steps": 1, "num_train_epochs": 9}, 100, 13, 1, 1),
    ],
)
def test_steps_and_epochs_are_those_worked_by_hand(
    given_settings: dict[str, Any], num_examples: int, per_epoch: int, total: int, epochs: int
) -> None:
    training = TrainingSettings(**given_settings)
    assert training.steps_per_epoch(num_examples) == per_epoch
    assert training.total_steps(num_examples) == total
    assert training.total_epochs(num_examples) == epochs


@pytest.mark.parametrize(
    ("warmup", "total", "steps"),
    [(0, 10, 0), (0.06, 100, 6), (0.06, 101, 7), (0.5, 3, 2), (1, 10, 1), (500, 10, 500)],
)
def test_warmup_below_one_is_a_share_rounded_up(warmup: float, total: int, steps: int) -> None:
    assert TrainingSettings(warmup_steps=warmup).num_warmup_steps(total) == steps


@settings(max_examples=100, deadline=None)
@given(
    num_examples=st.integers(1, 300),
    batch=st.integers(1, 20),
    accumulation=st.integers(1, 6),
    epochs=st.integers(1, 4),
    max_steps=st.just(-1) | st.integers(1, 200),
)
def test_steps_and_epochs_are_those_of_the_trainer(
    num_examples: int, batch: int, accumulation: int, epochs: int, max_steps: int
) -> None:
    from torch.utils.data import DataLoader
    from transformers import Trainer

    ours = TrainingSettings(
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        num_train_epochs=epochs,
        max_steps=max_steps,
    )
    trainer = SimpleNamespace(
        get_total_train_batch_size=lambda args: batch * accumulation,
        get_sp_size=lambda: 1,
        num_examples=lambda loader: num_examples,
    )
    num_train_epochs, per_epoch, _, _, examples_per_step, _, total = (
        Trainer.set_initial_training_values(
            trainer,  # type: ignore[arg-type]
            ours,  # type: ignore[arg-type]
            DataLoader(range(num_examples), batch_size=batch),  # type: ignore[arg-type]
        )
    )
    assert ours.examples_per_step == examples_per_step
    assert ours.steps_per_epoch(num_examples) == per_epoch
    assert ours.total_steps(num_examples) == total
    assert ours.total_epochs(num_examples) == num_train_epochs


@pytest.mark.parametrize("total", [1, 7, 100, 21050])
@pytest.mark.parametrize("warmup", [0.0, 0.06, 0.1, 0.999, 1, 3, 500])
def test_warmup_steps_are_those_of_the_trainer(warmup: float, total: int) -> None:
    from transformers import TrainingArguments

    theirs = TrainingArguments.get_warmup_steps(
        SimpleNamespace(warmup_steps=warmup),  # type: ignore[arg-type]
        total,
    )
    assert TrainingSettings(warmup_steps=warmup).num_warmup_steps(total) == theirs


@pytest.mark.parametrize("name", TrainingSettings.model_fields)
def test_a_default_is_that_of_the_trainer(name: str) -> None:
    from transformers import TrainingArguments

    theirs = TrainingArguments.__dataclass_fields__[name].default
    assert getattr(TrainingSettings(), name) == theirs


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_train_epochs": 0},
        {"num_train_epochs": 1.5},
        {"num_train_epochs": True},
        {"num_train_epochs": "3"},
        {"max_steps": 0},
        {"max_steps": -2},
        {"max_steps": True},
        {"max_steps": "10"},
        {"per_device_train_batch_size": -1},
        {"learning_rate": -1e-5},
        {"learning_rate": float("nan")},
        {"learning_rate": float("inf")},
        {"adam_beta1": 1.0},
        {"adam_beta2": float("nan")},
        {"warmup_steps": -1},
        {"lr_scheduler_type": "polynomial"},
        {"fp16": True},
    ],
)
def test_a_setting_that_cannot_be_honoured_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TrainingSettings(**wrong)


@pytest.mark.parametrize("max_steps", [-1, 1, 10])
def test_steps_are_at_least_one_or_left_to_the_epochs(max_steps: int) -> None:
    assert TrainingSettings(max_steps=max_steps).max_steps == max_steps


def test_a_whole_number_will_do_where_any_number_does() -> None:
    training = TrainingSettings(learning_rate=1, warmup_steps=500, weight_decay=0)
    assert (training.learning_rate, training.warmup_steps, training.weight_decay) == (1, 500, 0)


@pytest.mark.parametrize("wrong", [True, "3", 1.0])
@pytest.mark.parametrize("field", ["seed", "max_train_samples", "max_eval_samples", "max_length"])
def test_seeds_and_counts_are_integers_and_nothing_like_them(field: str, wrong: object) -> None:
    with pytest.raises(ValidationError):
        rebuilt(**{field: wrong})
    with pytest.raises(ValidationError):
        Seeds(init=wrong, order=1, dropout=1)  # type: ignore[arg-type]


def test_values_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError):
        TRIAL.training.learning_rate = 1.0  # type: ignore[misc]
    with pytest.raises(ValidationError):
        TRIAL.seed = 1  # type: ignore[misc]


def test_a_trials_id_is_pinned_for_good() -> None:
    # Results are stored under it; a change orphans every workspace there is.
    assert TRIAL.id == "b119c90053a9"


def test_a_trials_id_is_the_hash_of_what_is_not_at_its_default() -> None:
    content = {"task": "sst2", "data": "d0", "model": "f0", "method": "lora", "seed": 42}
    content |= {"method_config": {}, "training": {}}
    assert TRIAL.id == content_id(content)
    assert rebuilt(cache_frozen=True).id == content_id(content | {"cache_frozen": True})
    assert rebuilt(selection=Selection()).id == content_id(content | {"selection": {}})
    assert rebuilt(method_config={"r": 16}).id == content_id(content | {"method_config": {"r": 16}})
    training = TrainingSettings(learning_rate=1e-3)
    assert rebuilt(training=training).id == content_id(
        content | {"training": {"learning_rate": 1e-3}}
    )
    seeds = TRIAL.seeds.model_copy(update={"order": 1})
    assert rebuilt(seeds=seeds).id == content_id(content | {"seeds": {"order": 1}})


@pytest.mark.parametrize("fact", ["has_head", "shows_padding"])
def test_what_is_known_of_a_checkpoint_is_in_an_id_by_a_correction_alone(fact: str) -> None:
    model = TRIAL.model.model_copy(update={fact: True})
    assert rebuilt(model=model, rules=1).id == TRIAL.id != rebuilt(model=model).id


@pytest.mark.parametrize("field", [*TrainingSettings.model_fields])
def test_a_training_setting_that_is_given_its_default_or_left_out_is_one_trial(field: str) -> None:
    """So that a setting which comes later, at its default, changes no stored id."""
    content = TRIAL.model_dump(mode="json")
    del content["training"][field]
    assert Trial.model_validate(content).id == TRIAL.id


@pytest.mark.parametrize(
    "field", [name for name, one in Trial.model_fields.items() if not one.is_required()]
)
def test_a_field_that_a_stored_trial_lacks_is_at_its_default(field: str) -> None:
    content = TRIAL.model_dump(mode="json")
    del content[field]
    assert Trial.model_validate(content).id == TRIAL.id


def test_defaults_that_ids_leave_out_are_what_they_were() -> None:
    """A new default would make new trials pass for stored ones: give it a rule of its own.

    A correction (core/corrections.py) that marks the trials which are at the new default does.
    """
    training = {
        "num_train_epochs": 3, "max_steps": -1, "per_device_train_batch_size": 8,
        "per_device_eval_batch_size": 8, "gradient_accumulation_steps": 1, "learning_rate": 5e-5,
        "weight_decay": 0.0, "adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-8,
        "max_grad_norm": 1.0, "lr_scheduler_type": "linear", "warmup_steps": 0.0,
    }  # fmt: skip
    assert TrainingSettings().model_dump() == training
    assert Selection().model_dump() == {"split": "train", "fraction": 0.1}
    defaults = {
        name: field.default for name, field in Trial.model_fields.items() if not field.is_required()
    }
    assert defaults == {
        "max_train_samples": None, "max_eval_samples": None, "max_length": 128,
        "engine": "packed", "cache_frozen": False, "selection": None, "definition": None,
        "head": "fresh", "rules": RULES,
    }  # fmt: skip


def test_a_trial_with_other_settings_is_the_one_that_has_them_from_the_start() -> None:
    assert TRIAL.id  # which is kept, and must not be handed on
    training = TrainingSettings(learning_rate=1e-3)
    other = TRIAL.with_settings(training, {"r": 16})
    assert other == rebuilt(training=training, method_config={"r": 16})
    assert other.id == rebuilt(training=training, method_config={"r": 16}).id != TRIAL.id


@pytest.mark.parametrize("wrong", [{"split": "dev"}, {"fraction": 0}, {"fraction": 1}, {"rows": 3}])
def test_rows_are_held_out_of_train_alone_and_not_all(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Selection.model_validate(wrong)


@pytest.mark.parametrize("wrong", [1, "true", None])
def test_yes_and_no_are_nothing_but_true_and_false(wrong: object) -> None:
    with pytest.raises(ValidationError):
        rebuilt(cache_frozen=wrong)


def test_every_field_has_another_value_here() -> None:
    assert OTHER_TRIAL.keys() == Trial.model_fields.keys()
    assert OTHER_TRAINING.keys() == TrainingSettings.model_fields.keys()


@pytest.mark.parametrize("field", OTHER_TRIAL)
def test_every_field_of_a_trial_changes_its_id(field: str) -> None:
    """But for the rules by which it is measured, where no correction affects it."""
    other = rebuilt(**{field: OTHER_TRIAL[field]}).id
    assert (other == TRIAL.id) == (field == "rules")


@pytest.mark.parametrize("field", OTHER_TRAINING)
def test_every_training_setting_that_can_change_numbers_changes_the_id(field: str) -> None:
    training = TrainingSettings(**{field: OTHER_TRAINING[field]})
    other = rebuilt(training=training).id
    assert (other == TRIAL.id) == (field == "per_device_eval_batch_size")


@pytest.mark.parametrize("seed", ["init", "order", "dropout"])
def test_every_source_of_chance_changes_the_id(seed: str) -> None:
    assert rebuilt(seeds=TRIAL.seeds.model_copy(update={seed: 1})).id != TRIAL.id


@pytest.mark.parametrize(
    ("problem_type", "labels"),
    [
        ("single_label_classification", ("one",)),
        ("multi_label_classification", ("one",)),
        ("regression", ("score",)),
    ],
)
def test_a_task_has_the_labels_that_its_kind_needs(
    problem_type: str, labels: tuple[str, ...]
) -> None:
    fields = {"labels": labels, "metrics": ("accuracy",), "texts": ("body",)}
    with pytest.raises(ValidationError, match=f"{problem_type} has {len(labels)} label"):
        TaskDefinition.model_validate({"problem_type": problem_type, **fields})


def test_where_the_rows_are_and_what_a_checkpoint_is_called_do_not_change_the_id() -> None:
    elsewhere = DataRef(source="folder", location="elsewhere", digest="d0")
    assert rebuilt(data=elsewhere).id == TRIAL.id
    assert rebuilt(model=ModelRef(name="another", fingerprint="f0")).id == TRIAL.id


def test_the_order_of_a_methods_settings_does_not_change_the_id() -> None:
    first = rebuilt(method_config={"r": 8, "lora_alpha": 16})
    second = rebuilt(method_config={"lora_alpha": 16, "r": 8})
    assert first.id == second.id != TRIAL.id


def test_a_trial_that_was_stored_as_json_has_the_same_id() -> None:
    trial = rebuilt(training=TrainingSettings(learning_rate=1e-3, warmup_steps=1))
    assert Trial.model_validate_json(trial.model_dump_json()).id == trial.id


def test_the_three_seeds_of_a_trial_differ_and_follow_from_its_seed() -> None:
    seeds = Seeds.of(42)
    assert seeds == Seeds.of(42)
    assert len({seeds.init, seeds.order, seeds.dropout, *Seeds.of(43).model_dump().values()}) == 6


def test_shares_of_parameters_are_percent_in_either_way_of_counting() -> None:
    count = ParameterCount(
        trainable=5, total=40, total_peft_counting=50, backbone=1, adapter=2, head=2
    )
    assert count.percent == 10.0
    assert count.percent_of_total == 12.5


def rebuilt(**changes: Any) -> Trial:
    """TRIAL with changes; model_copy would carry a cached id along."""
    fields = {name: getattr(TRIAL, name) for name in Trial.model_fields}
    return Trial(**(fields | changes))
