"""The measurements of a trial: its evaluations, its parameters, and its costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The measurements after an optimizer step; step 0 is the state before any training.

    `epoch` is the number of passes over the training examples that the steps until then make: 2.0
    at the end of the second one, 1.4 behind step 7 where a pass takes 5 steps. Losses are means
    over examples. `step_losses` are those of the steps since the evaluation before, in order and
    as they were taken, `train_loss` is their mean (None at step 0). `scores` are in points
    (accuracy 91.3, not 0.913), the task's main metric first. `held_out_scores` and `held_out_loss`
    are those of the rows of train that are held out, where a trial has such. `seconds` is training
    time since the trial began, evaluation left out.
    """

    step: int
    epoch: float
    train_loss: float | None
    eval_loss: float
    scores: Mapping[str, float]
    seconds: float
    step_losses: tuple[float, ...] = ()
    held_out_loss: float | None = None
    held_out_scores: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Evaluation:
        """Return the evaluation whose fields came back from JSON."""
        return cls(**{**values, "step_losses": tuple(values["step_losses"])})


def plain_epoch(epoch: float) -> int | float:
    """Return the number of an epoch as it is shown: without a fraction where it has none.

    >>> plain_epoch(2.0), plain_epoch(1.4)
    (2, 1.4)
    """
    return int(epoch) if epoch == int(epoch) else epoch


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
        """Return the trainable share in percent, in peft's counting, as peft prints it."""
        return 100 * self.trainable / self.total_peft_counting

    @property
    def percent_of_total(self) -> float:
        """Return the trainable share in percent, every tensor counted once."""
        return 100 * self.trainable / self.total


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The costs of a trial. Figures that this machine cannot measure are None, never guessed.

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
    `device_name` is what the maker calls the processor or card, empty where it is not known;
    `eval_tokens_per_second` counts all evaluations, None in trials of older versions.
    `together` is the most trials that ever trained in one step with it: with more than 1, its
    seconds, energy and memory are its share of the group's, by its tokens.
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
    device_name: str = ""
    eval_tokens_per_second: float | None = None
    together: int = 1

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Costs:
        """Return the costs whose fields came back from JSON."""
        return cls(**{**values, "parameters": ParameterCount(**values["parameters"])})
