"""The training of a trial: its hyperparameters, and how often its state is saved."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    JsonValue,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from peftlab.core.schedules import SCHEDULES, Schedule
from peftlab.core.validation import Count, Frozen, Integer, NonNegative, YesNo, complaint_of

OWN_NAMES = (
    "class_weights",
    "layerwise_lr_decay",
    "early_stopping_patience",
    "early_stopping_threshold",
)
"""The settings that transformers.TrainingArguments does not have."""
OF_EVALUATION = (
    "eval_strategy",
    "eval_steps",
    "early_stopping_patience",
    "early_stopping_threshold",
    "bf16_full_eval",
)
"""The settings that say how and when a trial is evaluated, and what follows from that."""
Precision = Literal["fp32", "tf32", "bf16"]
ADAMW = ("adamw", "adamw_torch", "adamw_torch_fused")
"""The names of `optim` that are the same one."""
OPTIMIZERS = (*ADAMW, "sgd", "adafactor", "adagrad", "rmsprop")
"""The names of `optim`."""
MAPPINGS = ("class_weights", "lr_scheduler_kwargs")
"""The settings whose value may be a mapping."""


def is_by_task(name: str, value: object) -> bool:
    """Return whether a training setting's value in a study is a mapping from task to value.

    Where the value itself may be a mapping, one by task holds nothing but such values.

    >>> is_by_task("learning_rate", {"cola": 1e-4}), is_by_task("class_weights", {"yes": 2.0})
    (True, False)
    >>> is_by_task("class_weights", {"cola": "balanced", "sst2": {"negative": 2.0}})
    True
    """
    if not isinstance(value, Mapping):
        return False
    return name not in MAPPINGS or (
        len(value) > 0
        and all(isinstance(one, Mapping) or one == "balanced" for one in value.values())
    )


def _epochs(given: object) -> object:
    """Return a number of epochs, an integer if it is whole; raise ValueError for any other value.

    >>> _epochs(3.0), _epochs(2.5)
    (3, 2.5)
    """
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if not is_number:
        raise ValueError("must be a number")
    if not math.isfinite(given):  # type: ignore[arg-type]
        raise ValueError("must be a finite number")
    if given <= 0:  # type: ignore[operator]
        raise ValueError("must be greater than 0")
    return int(given) if given == int(given) else given  # type: ignore[call-overload]


def _interval(given: object) -> object:
    """Return steps, or a share of all steps below 1; raise ValueError for any other value.

    >>> _interval(50.0), _interval(0.1), _interval(None)
    (50, 0.1, None)
    """
    if given is None:
        return None
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if not is_number or not 0 < given < math.inf:  # type: ignore[operator]
        raise ValueError("must be a number of steps, or a share of all steps below 1")
    if given >= 1 and given != int(given):  # type: ignore[call-overload, operator]
        raise ValueError("must be a whole number of steps, or a share of all steps below 1")
    return int(given) if given >= 1 else given  # type: ignore[call-overload, operator]


def _weights(given: object) -> object:
    """Return class weights, labels as texts; raise ValueError for anything else."""
    if given is None or given == "balanced":
        return given
    if not isinstance(given, Mapping) or not given:
        raise ValueError("must be 'balanced', or a mapping from label to weight")
    for label, weight in given.items():
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not is_number or not 0 <= weight < math.inf:
            raise ValueError(f"the weight of '{label}' must be 0 or more, it is {weight}")
    return {str(label): float(weight) for label, weight in given.items()}


class TrainingSettings(Frozen):
    """Hyperparameters under the names, and with the defaults, of transformers.TrainingArguments.

    Only those that the engines honour are here: another name is an error, never ignored.
    `num_train_epochs` may be a fraction. `warmup_steps` below 1 is a share of all steps, as in
    transformers 5. `optim` adamw and adamw_torch are the same as
    adamw_torch_fused.

    A trial is evaluated at the end of each epoch, where transformers' own default is never; with
    `eval_strategy` steps after every `eval_steps` of them, or after that share of all steps.
    `early_stopping_patience` and `early_stopping_threshold` are those of
    transformers.EarlyStoppingCallback (tasks/selection.py).

    `bf16` rounds the operands of matrix products to bfloat16; weights, the optimizer, norms,
    softmax and losses stay in float32. `bf16_full_eval` does so in evaluation alone. `tf32` lets an
    NVIDIA card round those operands to 19 bits.

    Two settings are ours. `class_weights` multiply the loss of each example by the weight of its
    class (tasks/class_weights.py): `balanced`, or one for each label, 1 where none is given. With
    `layerwise_lr_decay` each layer learns at that share of the rate of the layer above it
    (models/layers.py).
    """

    num_train_epochs: Annotated[int | float, BeforeValidator(_epochs)] = 3
    max_steps: Integer = -1
    per_device_train_batch_size: Count = 8
    per_device_eval_batch_size: Count = 8
    gradient_accumulation_steps: Count = 1
    learning_rate: NonNegative = 5e-5
    weight_decay: NonNegative = 0.0
    adam_beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    adam_epsilon: NonNegative = 1e-8
    max_grad_norm: NonNegative = 1.0
    lr_scheduler_type: Literal[
        "linear",
        "cosine",
        "cosine_with_restarts",
        "polynomial",
        "constant",
        "constant_with_warmup",
        "inverse_sqrt",
        "cosine_with_min_lr",
        "cosine_warmup_with_min_lr",
        "warmup_stable_decay",
    ] = "linear"
    lr_scheduler_kwargs: Annotated[dict[str, JsonValue] | None, Field(validate_default=True)] = None
    warmup_steps: NonNegative = 0.0
    optim: Literal["adamw_torch_fused", "sgd", "adafactor", "adagrad", "rmsprop"] = (
        "adamw_torch_fused"
    )
    label_smoothing_factor: Annotated[float, Field(ge=0, lt=1)] = 0.0
    class_weights: Annotated[
        dict[str, float] | Literal["balanced"] | None, BeforeValidator(_weights)
    ] = None
    layerwise_lr_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    gradient_checkpointing: YesNo = False
    bf16: YesNo = False
    bf16_full_eval: Annotated[YesNo, Field(validate_default=True)] = False
    tf32: YesNo = False
    eval_strategy: Literal["epoch", "steps"] = "epoch"
    eval_steps: Annotated[
        int | float | None, BeforeValidator(_interval), Field(validate_default=True)
    ] = None
    early_stopping_patience: Count | None = None
    early_stopping_threshold: NonNegative = 0.0

    @field_validator("optim", mode="before")
    @classmethod
    def _has_one_name(cls, optim: object) -> object:
        """Return the stored name of a known optimizer; raise ValueError for any other value."""
        if optim not in OPTIMIZERS:
            *names, last = map(repr, OPTIMIZERS)
            raise ValueError(f"must be {', '.join(names)} or {last}")
        return "adamw_torch_fused" if optim in ADAMW else optim

    @field_validator("eval_strategy", mode="before")
    @classmethod
    def _is_sometimes(cls, strategy: object) -> object:
        if strategy is False or strategy == "no":  # which YAML reads as false
            raise ValueError(
                "a trial is always evaluated: leave it out to evaluate at the end of each epoch"
            )
        return strategy

    @field_validator("max_steps")
    @classmethod
    def _are_steps_or_none(cls, steps: int) -> int:
        if steps < 1 and steps != -1:
            raise ValueError("must be at least 1, or -1 to follow from the epochs")
        return steps

    @field_validator("warmup_steps")
    @classmethod
    def _are_steps_or_a_share(cls, steps: float) -> float:
        if steps > 1 and steps != int(steps):
            raise ValueError("must be a whole number of steps, or a share of all steps below 1")
        return steps

    @field_validator("lr_scheduler_kwargs")
    @classmethod
    def _are_of_the_schedule(
        cls, given: dict[str, JsonValue] | None, info: ValidationInfo
    ) -> dict[str, JsonValue] | None:
        """Leave out settings at the schedule's defaults, so that a schedule has only one id."""
        kind, learning_rate = info.data.get("lr_scheduler_type"), info.data.get("learning_rate")
        if kind is None or learning_rate is None:  # which is wrong, and is told of
            return given
        schedule = _schedule(kind, given)
        schedule.require_fit(learning_rate)
        return schedule.model_dump(exclude_defaults=True) or None

    @field_validator("bf16_full_eval")
    @classmethod
    def _is_not_said_twice(cls, is_set: bool, info: ValidationInfo) -> bool:
        """Leave it out where bf16 rounds in evaluation too, so that a plan has only one id."""
        return is_set and not info.data.get("bf16")

    @field_validator("eval_steps")
    @classmethod
    def _go_with_strategy(
        cls, steps: int | float | None, info: ValidationInfo
    ) -> int | float | None:
        """Leave the steps out if evaluations are at epochs, so that a plan has only one id."""
        strategy = info.data.get("eval_strategy")
        if strategy == "steps" and steps is None:
            raise ValueError("eval_strategy: steps needs eval_steps, such as 50 or 0.1")
        return steps if strategy == "steps" else None

    @field_validator("early_stopping_threshold")
    @classmethod
    def _goes_with_patience(cls, threshold: float, info: ValidationInfo) -> float:
        """Leave the threshold out if nothing is compared with it, for the same reason."""
        return 0.0 if info.data.get("early_stopping_patience") is None else threshold

    @property
    def schedule(self) -> Schedule:
        """The schedule of the learning rate."""
        return _schedule(self.lr_scheduler_type, self.lr_scheduler_kwargs)

    @property
    def precision(self) -> Precision:
        """Return the precision of the operands of matrix products."""
        return "bf16" if self.bf16 else "tf32" if self.tf32 else "fp32"

    @property
    def examples_per_step(self) -> int:
        """The number of examples in one optimizer step."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps

    def steps_per_epoch(self, num_examples: int) -> int:
        """Return the optimizer steps of one pass over the examples; the last may be a short one."""
        return -(-num_examples // self.examples_per_step)

    def total_steps(self, num_examples: int) -> int:
        """Return the optimizer steps of the training; `max_steps` > 0 overrides the epochs.

        A fraction of an epoch has its share of the epoch's steps, rounded up.
        """
        if self.max_steps > 0:
            return self.max_steps
        return math.ceil(self.num_train_epochs * self.steps_per_epoch(num_examples))

    def total_epochs(self, num_examples: int) -> int:
        """Return the passes begun over the data, of which the last one may be cut short."""
        return -(-self.total_steps(num_examples) // self.steps_per_epoch(num_examples))

    def steps_per_evaluation(self, num_examples: int) -> int:
        """Return the steps from one evaluation to the next; a share of all steps is rounded up."""
        if self.eval_steps is None:
            return self.steps_per_epoch(num_examples)
        if self.eval_steps < 1:
            return math.ceil(self.eval_steps * self.total_steps(num_examples))
        return int(self.eval_steps)

    def num_warmup_steps(self, total_steps: int) -> int:
        """Return the steps over which the learning rate rises; a share below 1 is rounded up."""
        if self.warmup_steps >= 1:
            return int(self.warmup_steps)
        return math.ceil(self.warmup_steps * total_steps)


def _schedule(kind: str, settings: Mapping[str, JsonValue] | None) -> Schedule:
    """Return the schedule of that name; raise ValueError if the settings are not its own."""
    schema = SCHEDULES[kind]
    try:
        return schema.model_validate(dict(settings or {}))
    except ValidationError as error:
        complaint = complaint_of(error)
    name = ".".join(str(part) for part in complaint.path)
    known = ", ".join(schema.model_fields)
    if complaint.kind == "extra_forbidden":
        if not known:
            raise ValueError(f"the schedule '{kind}' takes no settings, and '{name}' is given")
        raise ValueError(f"the schedule '{kind}' has no setting '{name}': it has {known}")
    if complaint.kind == "missing":
        raise ValueError(f"the schedule {kind} needs the setting '{name}'")
    raise ValueError(f"{name}: {complaint.words}" if name else complaint.words)


class CheckpointEvery(Frozen):
    """The interval at which a trial's state is saved, in steps, epochs or seconds of training.

    It is written as in `200 steps`.
    """

    number: Count
    unit: Literal["steps", "epochs", "seconds"]

    @model_validator(mode="before")
    @classmethod
    def _from_words(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        found = re.fullmatch(r"\s*(\d+)\s*(step|epoch|second)s?\s*", given)
        if found is None or int(found[1]) == 0:
            raise ValueError("must be of the form '200 steps', '1 epoch' or '60 seconds'")
        return {"number": int(found[1]), "unit": f"{found[2]}s"}

    @model_serializer
    def _as_words(self) -> str:
        return f"{self.number} {self.unit if self.number > 1 else self.unit[:-1]}"


EVERY_EPOCH = CheckpointEvery(number=1, unit="epochs")
