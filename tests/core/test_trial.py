"""A trial's id covers everything that can matter; its cell is the same whatever its seeds."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from peftlab.core.corrections import RULES
from peftlab.core.identity import content_id
from peftlab.core.inputs import DataRef, ModelRef, TaskDefinition
from peftlab.core.measurements import ParameterCount
from peftlab.core.selection import Selection
from peftlab.core.training import TrainingSettings
from peftlab.core.trial import Fold, Seeds, Trial, cell_of
from tests.core.made_trials import trial

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
    "fold": Fold(number=2, of=5),
    "train_size": 100,
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
    "lr_scheduler_kwargs": None,
    "warmup_steps": 0.06,
    "optim": "sgd",
    "label_smoothing_factor": 0.1,
    "class_weights": "balanced",
    "layerwise_lr_decay": 0.9,
    "gradient_checkpointing": True,
    "bf16": True,
    "bf16_full_eval": True,
    "tf32": True,
    "eval_strategy": "steps",
    "eval_steps": 50,
    "early_stopping_patience": 3,
    "early_stopping_threshold": 0.5,
}
BESIDE_ANOTHER = {"lr_scheduler_kwargs", "eval_steps", "early_stopping_threshold"}
"""The training settings that have no effect alone."""


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
    """A setting that is added later thus changes no stored id while it is at its default."""
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
    """A new default would make new trials pass for stored ones, so it needs a rule of its own.

    A correction (core/corrections.py) that marks the trials at the new default is such a rule.
    """
    training = {
        "num_train_epochs": 3, "max_steps": -1, "per_device_train_batch_size": 8,
        "per_device_eval_batch_size": 8, "gradient_accumulation_steps": 1, "learning_rate": 5e-5,
        "weight_decay": 0.0, "adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-8,
        "max_grad_norm": 1.0, "lr_scheduler_type": "linear", "lr_scheduler_kwargs": None,
        "warmup_steps": 0.0, "optim": "adamw_torch_fused", "label_smoothing_factor": 0.0,
        "class_weights": None, "layerwise_lr_decay": 1.0, "gradient_checkpointing": False,
        "eval_strategy": "epoch", "eval_steps": None, "early_stopping_patience": None,
        "early_stopping_threshold": 0.0, "bf16": False, "bf16_full_eval": False, "tf32": False,
    }  # fmt: skip
    assert TrainingSettings().model_dump() == training
    assert Selection().model_dump() == {"split": "train", "fraction": 0.1}
    defaults = {
        name: field.default for name, field in Trial.model_fields.items() if not field.is_required()
    }
    assert defaults == {
        "max_train_samples": None, "max_eval_samples": None, "max_length": 128,
        "engine": "packed", "cache_frozen": False, "selection": None, "definition": None,
        "head": "fresh", "fold": None, "train_size": None, "rules": RULES,
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
    """The exceptions are the measuring rules, if no correction affects the trial."""
    other = rebuilt(**{field: OTHER_TRIAL[field]}).id
    assert (other == TRIAL.id) == (field == "rules")


@pytest.mark.parametrize("field", OTHER_TRAINING)
def test_every_training_setting_that_can_change_numbers_changes_the_id(field: str) -> None:
    beside = {"eval_steps": 50} if field == "eval_strategy" else {}
    training = TrainingSettings(**{field: OTHER_TRAINING[field]}, **beside)
    other = rebuilt(training=training).id
    assert (other == TRIAL.id) == (
        field in {"per_device_eval_batch_size", "gradient_checkpointing", *BESIDE_ANOTHER}
    )


def test_a_setting_that_counts_beside_another_one_changes_the_id_there() -> None:
    def id_of(**settings: Any) -> str:
        return rebuilt(training=TrainingSettings(**settings)).id

    by_steps = {"eval_strategy": "steps"}
    assert id_of(**by_steps, eval_steps=50) != id_of(**by_steps, eval_steps=60)
    assert id_of(**by_steps, eval_steps=50) == id_of(**by_steps, eval_steps=50.0)
    patient = {"early_stopping_patience": 2}
    assert id_of(**patient) != id_of(**patient, early_stopping_threshold=0.5)


def test_settings_of_a_schedule_change_the_id() -> None:
    cosine = TrainingSettings(lr_scheduler_type="cosine")
    waves = TrainingSettings(lr_scheduler_type="cosine", lr_scheduler_kwargs={"num_cycles": 1.5})
    default = TrainingSettings(lr_scheduler_type="cosine", lr_scheduler_kwargs={"num_cycles": 0.5})
    assert rebuilt(training=cosine).id == rebuilt(training=default).id
    assert rebuilt(training=cosine).id != rebuilt(training=waves).id


def test_ids_of_whole_epochs_are_what_they_were_before_there_were_fractions() -> None:
    content = TRIAL.model_dump(mode="json")
    for epochs, pinned in ((3, "b119c90053a9"), (5, "457ef0355fad")):
        for given in (epochs, float(epochs)):
            content["training"]["num_train_epochs"] = given
            assert Trial.model_validate(content).id == pinned
    content["training"]["num_train_epochs"] = 2.5
    assert Trial.model_validate(content).id not in {"b119c90053a9", "457ef0355fad"}


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


def test_seeds_are_no_part_of_a_cell_and_the_rest_of_the_id_is() -> None:
    one = trial()
    other = trial(seed=2, seeds=Seeds.of(2))
    fixed = trial(seeds=Seeds(init=1, order=2, dropout=3))
    assert len({one.id, other.id, fixed.id}) == 3
    assert cell_of(one) == cell_of(other) == cell_of(fixed) == cell_of(one.with_run(3, one.seeds))
    for changes in (
        {"task": "cola"},
        {"training": TrainingSettings(learning_rate=1.0)},
        {"model": ModelRef(name="minilm", fingerprint="g")},
        {"max_length": 64},
    ):
        assert cell_of(trial(**changes)) != cell_of(one)


def test_the_rules_enter_a_cell_as_they_enter_the_id() -> None:
    head = trial(model=ModelRef(name="m", fingerprint="f", has_head=True))
    before = head.as_measured_before(1)
    assert head.id != before.id
    assert cell_of(head) != cell_of(before)
    plain = trial()
    assert cell_of(plain) == cell_of(plain.as_measured_before(1))


def rebuilt(**changes: Any) -> Trial:
    """Return TRIAL with changes; model_copy would also copy a cached id."""
    fields = {name: getattr(TRIAL, name) for name in Trial.model_fields}
    return Trial(**(fields | changes))


def test_folds_are_runs_of_one_cell_with_luck_of_their_own() -> None:
    one, two = (Fold(number=number, of=5) for number in (1, 2))
    first = rebuilt(fold=one, seeds=Seeds.of(42, one))
    second = first.with_run(42, Seeds.of(42, two), two)
    assert len({TRIAL.id, first.id, second.id}) == 3
    assert second.id == rebuilt(fold=two, seeds=Seeds.of(42, two)).id
    assert cell_of(first) == cell_of(second) != cell_of(TRIAL)
    assert cell_of(first) != cell_of(rebuilt(fold=Fold(number=1, of=4)))
    assert not {*first.seeds.model_dump().values()} & {*second.seeds.model_dump().values()}
