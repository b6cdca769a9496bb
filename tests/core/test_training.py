"""The arithmetic of a training is that of transformers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from peftlab.core.training import OWN_NAMES, TrainingSettings


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
        # 13 steps an epoch: 6.5 and 32.5
        ({"num_train_epochs": 0.5}, 100, 13, 7, 1),
        ({"num_train_epochs": 2.5}, 100, 13, 33, 3),
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
    epochs=st.integers(1, 4) | st.floats(0.01, 4),
    max_steps=st.just(-1) | st.integers(1, 200),
)
def test_steps_and_epochs_are_those_of_the_trainer(
    num_examples: int, batch: int, accumulation: int, epochs: float, max_steps: int
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


@pytest.mark.parametrize(
    "name", [name for name in TrainingSettings.model_fields if name not in OWN_NAMES]
)
def test_a_default_is_that_of_the_trainer(name: str) -> None:
    from transformers import TrainingArguments

    theirs = TrainingArguments.__dataclass_fields__[name].default
    # They call the first activation_checkpointing as well; None leaves the second to torch: off.
    if name in ("gradient_checkpointing", "tf32"):
        theirs = bool(theirs)
    if name == "eval_strategy":  # with theirs there would be no curves
        assert theirs == "no"
        theirs = "epoch"
    assert getattr(TrainingSettings(), name) == theirs


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_train_epochs": 0},
        {"num_train_epochs": -0.5},
        {"num_train_epochs": float("nan")},
        {"num_train_epochs": float("inf")},
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
        {"lr_scheduler_type": "reduce_lr_on_plateau"},
        {"lr_scheduler_kwargs": {"power": 2}},
        {"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"power": 0}},
        {"lr_scheduler_type": "polynomial", "learning_rate": 1e-7},
        {"lr_scheduler_type": "cosine_with_restarts", "lr_scheduler_kwargs": {"num_cycles": 1.5}},
        {"lr_scheduler_type": "cosine_with_min_lr"},
        {
            "lr_scheduler_type": "cosine_with_min_lr",
            "lr_scheduler_kwargs": {"min_lr": 0, "min_lr_rate": 0},
        },
        {"lr_scheduler_type": "warmup_stable_decay"},
        {"optim": "lion"},
        {"label_smoothing_factor": 1},
        {"label_smoothing_factor": -0.1},
        {"class_weights": "even"},
        {"class_weights": {}},
        {"class_weights": {"yes": -1}},
        {"class_weights": {"yes": float("inf")}},
        {"class_weights": {"yes": True}},
        {"class_weights": {"yes": "2"}},
        {"layerwise_lr_decay": 0},
        {"layerwise_lr_decay": 1.1},
        {"gradient_checkpointing": 1},
        {"eval_strategy": "no"},
        {"eval_strategy": "steps"},
        {"eval_strategy": "steps", "eval_steps": 0},
        {"eval_strategy": "steps", "eval_steps": -1},
        {"eval_strategy": "steps", "eval_steps": 1.5},
        {"eval_strategy": "steps", "eval_steps": float("nan")},
        {"eval_strategy": "steps", "eval_steps": float("inf")},
        {"eval_strategy": "steps", "eval_steps": True},
        {"eval_strategy": "steps", "eval_steps": "50"},
        {"early_stopping_patience": 0},
        {"early_stopping_patience": 1.0},
        {"early_stopping_patience": 1, "early_stopping_threshold": -1},
        {"early_stopping_patience": 1, "early_stopping_threshold": float("nan")},
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


def test_a_whole_number_of_epochs_is_one_value_however_it_is_written() -> None:
    assert TrainingSettings(num_train_epochs=4.0).model_dump_json() == (
        TrainingSettings(num_train_epochs=4).model_dump_json()
    )
    assert TrainingSettings(num_train_epochs=2.5).num_train_epochs == 2.5


def test_a_name_for_the_same_optimizer_is_the_same_setting() -> None:
    for name in ("adamw", "adamw_torch", "adamw_torch_fused"):
        assert TrainingSettings.model_validate({"optim": name}) == TrainingSettings()


def test_settings_of_a_schedule_at_its_defaults_are_left_out() -> None:
    given = {"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"power": 1, "lr_end": 1e-7}}
    training = TrainingSettings.model_validate(given)
    assert training.lr_scheduler_kwargs is None
    given["lr_scheduler_kwargs"] = {"power": 2}
    assert TrainingSettings.model_validate(given).lr_scheduler_kwargs == {"power": 2.0}


def test_what_is_wrong_with_the_settings_of_a_schedule_is_said_in_a_line() -> None:
    with pytest.raises(
        ValidationError, match="'polynomial' has no setting 'end': it has lr_end, p"
    ):
        TrainingSettings(lr_scheduler_type="polynomial", lr_scheduler_kwargs={"end": 1})
    with pytest.raises(
        ValidationError, match="the schedule 'linear' takes no settings, and 'power' "
    ):
        TrainingSettings(lr_scheduler_kwargs={"power": 1})
    with pytest.raises(ValidationError, match="needs the setting 'num_decay_steps'"):
        TrainingSettings(lr_scheduler_type="warmup_stable_decay")
    with pytest.raises(ValidationError, match=r"lr_end .1e-07. must be below the learning rate"):
        TrainingSettings(lr_scheduler_type="polynomial", learning_rate=1e-8)


def test_labels_that_are_numbers_to_yaml_are_texts() -> None:
    given = {"class_weights": {0: 1, 1: 3}}
    assert TrainingSettings.model_validate(given).class_weights == {"0": 1.0, "1": 3.0}


@pytest.mark.parametrize("max_steps", [1, 7, 100, 21050])
@pytest.mark.parametrize("eval_steps", [0.0001, 0.1, 0.3, 0.999, 1, 3, 500])
def test_steps_between_evaluations_are_those_of_the_trainer(
    eval_steps: float, max_steps: int
) -> None:
    from transformers import TrainerState

    state = TrainerState()
    state.compute_steps(
        SimpleNamespace(eval_steps=eval_steps, logging_steps=None, save_steps=None),
        max_steps,
    )
    ours = TrainingSettings(eval_strategy="steps", eval_steps=eval_steps, max_steps=max_steps)
    assert ours.steps_per_evaluation(40) == state.eval_steps


def test_evaluations_are_at_the_ends_of_epochs_unless_steps_are_asked_for() -> None:
    assert TrainingSettings().steps_per_evaluation(41) == 6
    assert TrainingSettings(eval_steps=2).steps_per_evaluation(41) == 6


def test_what_has_no_effect_beside_another_setting_is_left_out() -> None:
    """Trainings that cannot differ are thus one trial."""
    assert TrainingSettings(eval_steps=50, early_stopping_threshold=1.0) == TrainingSettings()
    by_steps = TrainingSettings(eval_strategy="steps", eval_steps=50.0)
    assert by_steps.model_dump_json() == (
        TrainingSettings(eval_strategy="steps", eval_steps=50).model_dump_json()
    )
    assert TrainingSettings.model_validate(by_steps.model_dump()) == by_steps
