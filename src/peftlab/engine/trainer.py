"""The engine for comparison: transformers.Trainer on the same trial, with the same record.

The Trainer keeps its own loop, collator, optimizer, schedule and evaluation. Three things are ours:
it is given the trial's order of examples, so that the engines see the same batches; a step's loss
is the mean over its examples, however many micro-batches it accumulates; and its losses and
predictions are handed on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset, Sampler
from transformers import (
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from peftlab.core.files import ASIDE
from peftlab.core.identity import derived_seed
from peftlab.core.interrupts import stop_if_requested
from peftlab.core.training import OF_EVALUATION, OWN_NAMES, TrainingSettings
from peftlab.core.trial import Trial
from peftlab.data.batches import Indices
from peftlab.data.encode import Encoded
from peftlab.data.predictions import Predictions
from peftlab.engine.base import Trained, TrialRun
from peftlab.engine.classifier import Together, rows_together
from peftlab.engine.dataset import TrialData
from peftlab.engine.devices.base import Device, own_generators
from peftlab.engine.events import Began, Evaluated, Listener, Stepped, ignore
from peftlab.engine.optimizer import build_optimizer
from peftlab.engine.prepare import Prepared
from peftlab.engine.reported import ReportedEvaluation
from peftlab.engine.schedule import EvaluationSchedule, epoch_orders
from peftlab.engine.steps import put_trained, require_finite
from peftlab.engine.tally import Tally, record_evaluation
from peftlab.methods.registry import METHODS
from peftlab.models.families import fewest_tokens
from peftlab.models.tokenizer import HubTokenizer
from peftlab.tasks.class_weights import check_label_smoothing, weights_of_classes
from peftlab.tasks.selection import has_stopped_early

RENAMED = {"gradient_checkpointing": "activation_checkpointing"}
"""The settings that newer versions of transformers know by another name."""


class TrainerEngine:
    """An engine that trains with transformers.Trainer. It writes no checkpoints: its training is
    lost if the process is asked to stop, and it cannot be paused."""

    def train(self, prepared: Prepared, run: TrialRun) -> Trained:
        """Train the module in place."""
        with run.energy:
            tally = train_with_trainer(
                prepared.module,
                prepared.tokenizer,
                run.trial,
                prepared.data,
                run.tell,
                run.best,
                device=run.device,
                together=rows_together(prepared.base, prepared.method),
                spare=run.folder,
            )
        return Trained(tally=tally, path="transformers.Trainer", pads=True)


def train_with_trainer(
    module: nn.Module,
    tokenizer: HubTokenizer,
    trial: Trial,
    data: TrialData,
    tell: Listener = ignore,
    best: ReportedEvaluation | None = None,
    *,
    device: Device,
    together: Together = Together.ANY,
    spare: Path | None = None,
) -> Tally:
    """Train the module in place with transformers.Trainer; return the measurements.

    `best` is offered each evaluation, and the module ends with the state that `best` has kept. If
    `together` restricts which rows may share a batch in evaluation, each row is evaluated alone.
    Files that the Trainer may write go to a temporary folder in `spare`, or in the system's own.

    Raises TrialError if a loss is not finite, and KeyboardInterrupt if the process is asked to
    stop; the training is then lost.
    """
    num_examples, training = len(data.train), trial.training
    total_steps = training.total_steps(num_examples)
    steps_per_epoch = training.steps_per_epoch(num_examples)
    tally = Tally()
    tell(Began(trial_id=trial.id, total_steps=total_steps, steps_per_epoch=steps_per_epoch))
    with (
        tempfile.TemporaryDirectory(prefix=ASIDE, dir=spare) as folder,
        torch.random.fork_rng(devices=own_generators(device.torch)),
    ):
        trainer = _OrderedTrainer(
            model=module,
            args=_arguments(trial, device, folder, together),
            compute_loss_func=_weighted_loss(trial, data, module),
            optimizers=(_own_optimizer(trial, module), None),
            train_dataset=EncodedDataset(data.train),
            eval_dataset=EncodedDataset(data.dev),
            data_collator=_Collator(
                tokenizer.tokenizer, fewest_tokens=fewest_tokens(module.config)
            ),
        )
        trainer.orders = dict(epoch_orders(trial, num_examples, total_steps))
        trainer.num_examples_of_epoch = num_examples
        trainer.step_losses = []
        trainer.remove_callback(PrinterCallback)  # it prints a dictionary if tqdm is off
        trainer.add_callback(_Recorder(trainer, module, trial, data, tally, tell, best))
        torch.manual_seed(derived_seed(trial.seeds.dropout, 0))
        METHODS.get(trial.method).begin_training(module, total_steps)
        trainer.train()
    tally.count_batches(trial, data.train.lengths, tally.evaluations[-1].step)
    if best is not None:
        best.put_back(lambda tensors, embedding_factor: put_trained(module, tensors))
    return tally


class EncodedDataset(Dataset[dict[str, Any]]):
    """Encoded rows, all or the chosen ones, in the form that a data collator takes."""

    def __init__(self, data: Encoded, rows: Indices | None = None) -> None:
        self.data = data
        self.rows = np.arange(len(data)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> dict[str, Any]:
        row = self.rows[place]
        span = slice(self.data.offsets[row], self.data.offsets[row + 1])
        feature = {
            "input_ids": self.data.ids[span].tolist(),
            "labels": _label(self.data.labels[row]),
        }
        if self.data.type_ids is not None:
            feature["token_type_ids"] = self.data.type_ids[span].tolist()
        return feature


def _label(value: Any) -> int | float | list[float]:
    """Return a label in the form that transformers' models take: floats for several labels."""
    if isinstance(value, np.ndarray):
        return [float(each) for each in value]
    return float(value) if isinstance(value, np.floating) else int(value)


@dataclass
class _Collator(DataCollatorWithPadding):
    """A collator that pads rows to the longest, or to the fewest tokens that the model takes."""

    fewest_tokens: int = 1

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        is_short = max(len(one["input_ids"]) for one in features) < self.fewest_tokens
        self.padding = "max_length" if is_short else True
        self.max_length = self.fewest_tokens if is_short else None
        batch: dict[str, Any] = super().__call__(features)
        return batch


class _OrderSampler(Sampler[int]):
    """A sampler that yields the trial's own order, one epoch each time it is iterated."""

    def __init__(self, orders: dict[int, Any], num_examples: int) -> None:
        self.orders = orders
        self.num_examples = num_examples
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        self.epoch += 1
        return iter(self.orders[self.epoch].tolist())

    def __len__(self) -> int:
        """Return the examples of a whole epoch; the Trainer takes a fraction of them by itself."""
        return self.num_examples


class _OrderedTrainer(Trainer):
    """A Trainer that takes the examples in the trial's order and keeps each step's loss.

    By default, if the model's `forward` takes any keyword, the Trainer adds up the mean losses of a
    step's micro-batches: it leaves the division to the model, and sequence classifiers do not
    divide. Otherwise it takes the mean of those means, which gives the examples of a shorter
    micro-batch more weight. Here each micro-batch counts by its share of the step's examples.
    """

    orders: dict[int, Any]
    num_examples_of_epoch: int
    step_losses: list[float]
    loss_is_scaled_for_ga = True
    _examples_of_step = 1
    _loss_of_step = 0.0

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return _OrderSampler(self.orders, self.num_examples_of_epoch)

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> tuple[list[Any], Any]:
        micro_batches, _ = super().get_batch_samples(*args, **kwargs)
        self._examples_of_step = sum(len(micro["labels"]) for micro in micro_batches)
        self._loss_of_step = 0.0
        return micro_batches, None

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        num_examples = len(inputs["labels"])
        computed: Any = super().compute_loss(model, inputs, *args, **kwargs)
        if not model.training:
            return computed
        return computed * (num_examples / self._examples_of_step)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        require_finite("training", float(loss))
        self._loss_of_step += float(loss)
        return loss

    def keep_step(self) -> float:
        """Keep and return the loss of the step that was taken: the mean over its examples."""
        self.step_losses.append(self._loss_of_step)
        return self._loss_of_step


class _Recorder(TrainerCallback):
    """A callback that sends the events and evaluates with Trainer.predict whenever that is due."""

    def __init__(
        self,
        trainer: _OrderedTrainer,
        module: nn.Module,
        trial: Trial,
        data: TrialData,
        tally: Tally,
        tell: Listener,
        best: ReportedEvaluation | None,
    ) -> None:
        self.trainer, self.module, self.trial, self.data = trainer, module, trial, data
        self.tally, self.tell, self.best = tally, tell, best
        self.schedule = EvaluationSchedule.of(trial, len(data.train))
        self.began = 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._evaluate(0)

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        self.began = perf_counter()

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        METHODS.get(self.trial.method).after_step(self.module, state.global_step + 1)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        stop_if_requested()
        loss = self.trainer.keep_step()
        self.tell(Stepped(trial_id=self.trial.id, step=state.global_step, loss=loss))
        if self.schedule.is_due(state.global_step):
            self._stop_clock()
            self._evaluate(state.global_step)
            if has_stopped_early(self.tally.evaluations, self.trial.training):
                control.should_training_stop = True
            self.began = perf_counter()

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        self._stop_clock()

    def _stop_clock(self) -> None:
        self.tally.train_seconds += perf_counter() - self.began

    def _evaluate(self, step: int) -> None:
        losses = self.trainer.step_losses
        predictions = record_evaluation(
            self.tally, self.trial, self.data, self._predict, step, losses
        )
        losses.clear()
        evaluations = self.tally.evaluations
        if self.best is not None and self.trainer.model is not None:
            self.best.offer(evaluations, predictions, self.trainer.model)
        self.tell(Evaluated(trial_id=self.trial.id, evaluation=evaluations[-1]))

    def _predict(self, rows: Encoded) -> Predictions:
        with self._rounding():
            output = self.trainer.predict(EncodedDataset(rows))
        logits = np.asarray(output.predictions, dtype=np.float32)
        return Predictions(row_ids=rows.row_ids, labels=rows.labels, logits=logits)

    def _rounding(self) -> AbstractContextManager[Any]:
        """Return the context of a prediction: the Trainer heeds bf16_full_eval only outside of
        training, and halves all parameters then."""
        if not self.trial.training.bf16_full_eval:
            return nullcontext()
        return torch.autocast(self.trainer.args.device.type, torch.bfloat16)


def _weighted_loss(
    trial: Trial, data: TrialData, module: nn.Module
) -> Callable[..., torch.Tensor] | None:
    """Return the function for the mean loss of a batch with class weights; None without weights.

    Label smoothing without class weights is left to the Trainer.
    """
    check_label_smoothing(trial.training.label_smoothing_factor, data.task)
    weights = weights_of_classes(trial.training.class_weights, data.task, data.train.labels)
    if weights is None:
        return None
    device = next(module.parameters()).device
    summed = nn.CrossEntropyLoss(
        torch.tensor(weights, device=device),
        label_smoothing=trial.training.label_smoothing_factor,
        reduction="sum",
    )

    def mean(outputs: Any, labels: torch.Tensor, **_: Any) -> torch.Tensor:
        loss: torch.Tensor = summed(outputs.logits, labels)
        return loss / len(labels)

    return mean


def _own_optimizer(trial: Trial, module: nn.Module) -> torch.optim.Optimizer | None:
    """Return the optimizer if layers have rates of their own; None leaves it to the Trainer."""
    if trial.training.layerwise_lr_decay == 1:
        return None
    base: Any = getattr(module, "get_base_model", lambda: module)()
    return build_optimizer(module, trial.training, base)


def named_settings(training: TrainingSettings) -> dict[str, Any]:
    """Return the settings that are fields of transformers.TrainingArguments, by their names there.

    The evaluation strategy is not among them: the engines evaluate by a schedule of their own.
    """
    settings = training.model_dump(exclude={*OWN_NAMES, *OF_EVALUATION, *RENAMED})
    for ours, theirs in RENAMED.items():
        known = theirs in TrainingArguments.__dataclass_fields__
        settings[theirs if known else ours] = getattr(training, ours)
    settings["tf32"] = training.tf32 or None  # where it is not asked for, no card is asked
    return settings


def _arguments(trial: Trial, device: Device, folder: str, together: Together) -> TrainingArguments:
    """Return TrainingArguments with the trial's settings; nothing is saved, logged or reported."""
    settings = named_settings(trial.training)
    if together is not Together.ANY:
        settings["per_device_eval_batch_size"] = 1
    return TrainingArguments(
        output_dir=folder,
        **settings,
        seed=trial.seed,
        **device.trainer_arguments(),
        eval_strategy="no",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
