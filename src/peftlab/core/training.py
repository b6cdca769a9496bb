"""How a trial is trained: its hyperparameters, and how often its state is saved."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_serializer, model_validator

from peftlab.core.validation import Count, Frozen, Integer, NonNegative


class TrainingSettings(Frozen):
    """Hyperparameters under the names, and with the defaults, of transformers.TrainingArguments.

    Only those that the engines honour are here: another name is an error, never ignored.
    `warmup_steps` below 1 is a share of all steps, as in transformers 5.
    """

    num_train_epochs: Count = 3
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
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    warmup_steps: NonNegative = 0.0

    @field_validator("max_steps")
    @classmethod
    def _are_steps_or_none(cls, steps: int) -> int:
        if steps < 1 and steps != -1:
            raise ValueError("must be at least 1, or -1 for what the epochs make")
        return steps

    @property
    def examples_per_step(self) -> int:
        """Return how many examples one optimizer step sees."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps

    def steps_per_epoch(self, num_examples: int) -> int:
        """Return the optimizer steps of one pass over the examples; the last may be a short one."""
        return -(-num_examples // self.examples_per_step)

    def total_steps(self, num_examples: int) -> int:
        """Return the optimizer steps of the training; `max_steps` > 0 overrides the epochs."""
        if self.max_steps > 0:
            return self.max_steps
        return self.num_train_epochs * self.steps_per_epoch(num_examples)

    def total_epochs(self, num_examples: int) -> int:
        """Return the passes begun over the data; `max_steps` may cut the last one short."""
        return -(-self.total_steps(num_examples) // self.steps_per_epoch(num_examples))

    def num_warmup_steps(self, total_steps: int) -> int:
        """Return the steps over which the learning rate rises; a share below 1 is rounded up."""
        if self.warmup_steps >= 1:
            return int(self.warmup_steps)
        return math.ceil(self.warmup_steps * total_steps)


class CheckpointEvery(Frozen):
    """How often a trial's state is saved: after a number of steps, epochs or seconds of training.

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
            raise ValueError("must be as in '200 steps', '1 epoch' or '60 seconds'")
        return {"number": int(found[1]), "unit": f"{found[2]}s"}

    @model_serializer
    def _as_words(self) -> str:
        return f"{self.number} {self.unit if self.number > 1 else self.unit[:-1]}"


EVERY_EPOCH = CheckpointEvery(number=1, unit="epochs")
