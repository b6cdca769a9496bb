"""The values that travel between the floors: examples, trials, epoch records and costs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    field_validator,
    model_serializer,
    model_validator,
)

from peftlab.core.corrections import RULES, marks
from peftlab.core.counts import counted
from peftlab.core.identity import derived_seed, members, members_id, without_pinned

# Strict: true and "3" are integers to pydantic, and to nobody else.
Integer = Annotated[int, Field(strict=True)]
Count = Annotated[Integer, Field(gt=0)]
YesNo = Annotated[bool, Field(strict=True)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
"""The kinds of labelled text problem, by transformers' own words."""
Head = Literal["fresh", "keep"]
"""Whether the classifier's head is drawn anew, or is the checkpoint's own."""


class Frozen(BaseModel):
    """Base of the validated values: immutable, and a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, kw_only=True)
class Example:
    """One row of a split: where it stands (0-based), its one or two texts, and its label.

    The label is a class index, a score (always a float), of several labels 0 or 1 for each, or
    None where the file has no label.
    """

    row_id: int
    texts: tuple[str, ...]
    label: int | float | tuple[int, ...] | None


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
        """How many examples one optimizer step sees."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps

    def steps_per_epoch(self, num_examples: int) -> int:
        """Optimizer steps of one pass over `num_examples`; the last step may be a short one."""
        return -(-num_examples // self.examples_per_step)

    def total_steps(self, num_examples: int) -> int:
        """Optimizer steps of the whole training; `max_steps` > 0 overrides the epochs."""
        if self.max_steps > 0:
            return self.max_steps
        return self.num_train_epochs * self.steps_per_epoch(num_examples)

    def total_epochs(self, num_examples: int) -> int:
        """Passes begun over the data; the last one is cut short where `max_steps` ends in it."""
        return -(-self.total_steps(num_examples) // self.steps_per_epoch(num_examples))

    def num_warmup_steps(self, total_steps: int) -> int:
        """Steps over which the learning rate rises; a share below 1 is rounded up."""
        if self.warmup_steps >= 1:
            return int(self.warmup_steps)
        return math.ceil(self.warmup_steps * total_steps)


class CheckpointEvery(Frozen):
    """After so many steps, epochs or seconds of training a trial's state is saved.

    Written as in `200 steps`.
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


class Seeds(Frozen):
    """The three independent sources of chance in a trial (Dodge et al. 2020, arXiv 2002.06305).

    `init` draws the head's and the adapter's first weights, `order` the order of the examples,
    `dropout` the dropout masks.
    """

    init: Integer
    order: Integer
    dropout: Integer

    @classmethod
    def of(cls, seed: int) -> Seeds:
        """The three seeds that follow from a trial's one seed."""
        return cls(
            init=derived_seed(seed, "init"),
            order=derived_seed(seed, "order"),
            dropout=derived_seed(seed, "dropout"),
        )


class OwnFiles(Frozen):
    """The files of a task of a person's own, and how they are read.

    Without a file `dev`, `dev_fraction` of train is cut off, drawn by `split_seed`. `text` are the
    columns of the one or two texts, `label` that of the label, or one column for each label, 0 or
    1. Words of several labels in one column stand between `separator`.
    """

    train: str
    dev: str | None = None
    dev_fraction: float | None = None
    split_seed: Integer = 42
    test: str | None = None
    text: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)]
    label: Annotated[tuple[str, ...], Field(min_length=1)]
    separator: Annotated[str, Field(min_length=1)] = ","

    @property
    def split_words(self) -> str:
        """Where dev comes from, in a few words; "" where it is a file."""
        if self.dev_fraction is None:
            return ""
        share, name = 100 * self.dev_fraction, Path(self.train).name
        return f"{share:g}% of {name}, stratified, cut off by seed {self.split_seed}"


class DataRef(Frozen):
    """Where a task's rows come from; only the digest of their content is part of an identity.

    `source` is hub, demo, folder or files; `location` the place, for people. Of files, `files` says
    more.
    """

    source: str
    location: str
    digest: str
    files: OwnFiles | None = None


class TaskDefinition(Frozen):
    """What a task of a person's own is; that of a task which comes with the package is known.

    `labels` stand in the order of the logits, a regression has none; `metrics` are keys of
    tasks.metrics.METRICS, the main one first; `texts` are the columns of the one or two texts.
    """

    problem_type: ProblemType
    labels: tuple[str, ...] = ()
    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    texts: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)]

    @model_validator(mode="after")
    def _has_labels(self) -> TaskDefinition:
        wanted = 0 if self.problem_type == "regression" else 2
        if len(self.labels) < wanted or (self.labels and not wanted):
            raise ValueError(f"{self.problem_type} has {counted(len(self.labels), 'label')}")
        return self


class ModelRef(Frozen):
    """A checkpoint by the name that the user gave and a fingerprint of its content.

    `has_head` says that it has been a classifier before, `shows_padding` that a row's logits change
    with the padding behind it. Both follow from the content and are no part of an id by themselves.
    """

    name: str
    fingerprint: str
    has_head: bool = False
    shows_padding: bool = False


class Selection(Frozen):
    """Rows of train that are held out to choose the epoch by whose state a trial is reported."""

    split: Literal["train"] = "train"
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1

    def num_held_out(self, num_rows: int) -> int:
        """How many of so many rows are held out."""
        return round(self.fraction * num_rows)


WITHOUT_EFFECT = ("per_device_eval_batch_size",)
"""Training settings that cannot change the numbers: no id depends on them."""


class Trial(Frozen):
    """One training, fully resolved: arm x task x seed with nothing left to decide.

    `method_config` holds every setting of the method, defaults filled in. With `cache_frozen` the
    layers below the lowest trainable parameter run once, in eval mode, and their outputs are kept.
    Without a `selection` the last epoch is reported. `definition` says what the task is where it
    is a person's own. The classifier's `head` is drawn anew, or the checkpoint's own is kept.
    `rules` is the version of the rules by which the trial is measured
    (core/corrections.py); what is stored keeps the one by which it was.
    Two trials with the same `id` would give the same numbers on one machine, so the second is
    never run.
    """

    task: str
    data: DataRef
    model: ModelRef
    method: str
    method_config: dict[str, JsonValue]
    training: TrainingSettings
    seed: Integer
    seeds: Seeds
    max_train_samples: Count | None = None
    max_eval_samples: Count | None = None
    max_length: Count = 128
    engine: str = "packed"
    cache_frozen: YesNo = False
    selection: Selection | None = None
    definition: TaskDefinition | None = None
    head: Head = "fresh"
    rules: Count = RULES

    @cached_property
    def id(self) -> str:
        """12 hexadecimal digits: the hash of everything that can change the numbers.

        A setting at its default is left out, so that a setting that comes later changes no id.
        """
        return members_id(self.unseeded | members(_seeds_in_id(self.seed, self.seeds)))

    @cached_property
    def unseeded(self) -> dict[str, str]:
        """What the id is made of, but for the seeds, as members of an object."""
        content = self.model_dump(
            mode="json", exclude={"seed", "seeds", "rules"}, exclude_defaults=True
        )
        content["data"] = self.data.digest
        content["model"] = self.model.fingerprint
        content["method_config"] = without_pinned(self.method, self.method_config)
        for name in WITHOUT_EFFECT:
            content["training"].pop(name, None)
        corrected = marks(self)
        if corrected:
            content["corrections"] = corrected
        return members(content)

    def with_settings(
        self, training: TrainingSettings, method_config: dict[str, JsonValue]
    ) -> Trial:
        """The same trial with other settings."""
        given = {name: getattr(self, name) for name in Trial.model_fields}
        return Trial(**(given | {"training": training, "method_config": method_config}))

    def as_measured_before(self, rules: int) -> Trial:
        """The same trial as an older version of peftlab measured it, by earlier rules."""
        given = {name: getattr(self, name) for name in Trial.model_fields}
        return Trial(**(given | {"rules": rules}))

    def with_seeds(self, seed: int, seeds: Seeds) -> Trial:
        """The same trial with other seeds, which takes a fraction of the time of a new one."""
        other = self.model_copy(update={"seed": seed, "seeds": seeds})
        other.__dict__["unseeded"] = self.unseeded
        other.__dict__.pop("id", None)
        return other


@lru_cache(maxsize=4096)
def _seeds_in_id(seed: int, seeds: Seeds) -> dict[str, object]:
    """Return a trial's seed, and those of its three seeds that do not follow from it."""
    usual = Seeds.of(seed).model_dump()
    own = {name: one for name, one in seeds.model_dump().items() if one != usual[name]}
    return {"seed": seed} | ({"seeds": own} if own else {})


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """What was measured at the end of an epoch; epoch 0 is the state before any training.

    Losses are means over examples. `train_loss` is that of the epoch's steps as they were taken
    (None at epoch 0), `step_losses` each of them in order. `scores` are in points (accuracy 91.3,
    not 0.913), the task's main metric first. `held_out_scores` and `held_out_loss` are those of
    the rows of train that are held out, where a trial has such. `seconds` is training time since
    the trial began, evaluation left out.
    """

    epoch: int
    step: int
    train_loss: float | None
    eval_loss: float
    scores: Mapping[str, float]
    seconds: float
    step_losses: tuple[float, ...] = ()
    held_out_loss: float | None = None
    held_out_scores: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> EpochRecord:
        """The record whose fields came back from JSON."""
        return cls(**{**values, "step_losses": tuple(values["step_losses"])})


@dataclass(frozen=True, kw_only=True)
class ParameterCount:
    """Parameters of a model under a method, every stored tensor counted once.

    `trainable` is the sum of the trainable ones in `backbone` (the checkpoint's own tensors),
    `adapter` (added by the method) and `head` (the classifier). `total_peft_counting` is
    peft's print_trainable_parameters figure, which counts the frozen original of a module that
    it trains as a copy (the head) as well as the copy.
    """

    trainable: int
    total: int
    total_peft_counting: int
    backbone: int
    adapter: int
    head: int

    @property
    def percent(self) -> float:
        """Trainable share in percent, in peft's counting, as peft prints it."""
        return 100 * self.trainable / self.total_peft_counting

    @property
    def percent_of_total(self) -> float:
        """Trainable share in percent, every tensor counted once."""
        return 100 * self.trainable / self.total


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a trial cost. Figures that this machine cannot measure are None, never guessed.

    `padding_avoided` is the share of padded tokens in the training batches (padded to the longest
    of each) that was not computed: 0 for an engine that pads. `peak_memory_bytes` is resident
    memory on a CPU and allocated memory on a GPU. Tokens are real ones, never padding.
    `path` says how the batches were computed and, where it is not what was asked for, why.
    `cached_layers` are the lowest layers that ran once, without dropout, for all epochs;
    `caching_seconds`, in neither of the other two parts of the total, are what that took here: next
    to nothing where an earlier trial has done it. `energy_joules` is what the device used while the
    trial trained and was evaluated, where a counter exists and no other trial ran beside it.
    `train_flops` are the operations of training (models/flops.py), `inference_seconds_per_example`
    those of the fastest pass over the dev split; both are None where lower layers were cached.
    `predictions_sha256` is that of the predictions' file, `model_sha256` of the model's folder
    (core/files.py), by which they are known again; trials of older versions have neither.
    """

    parameters: ParameterCount
    device: str
    threads: int
    train_seconds: float
    eval_seconds: float
    total_seconds: float
    train_examples_per_second: float
    train_tokens_per_second: float
    padding_avoided: float
    path: str = ""
    cached_layers: int = 0
    caching_seconds: float = 0.0
    peak_memory_bytes: int | None = None
    artifact_bytes: int | None = None
    energy_joules: float | None = None
    train_flops: float | None = None
    inference_seconds_per_example: float | None = None
    predictions_sha256: str | None = None
    model_sha256: str | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Costs:
        """The costs whose fields came back from JSON."""
        return cls(**{**values, "parameters": ParameterCount(**values["parameters"])})
