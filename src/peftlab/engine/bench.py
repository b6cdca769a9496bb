"""One side of a benchmark: the same training by this engine or by transformers.Trainer.

Each side lives in a process of its own, so that neither profits from how the other has set up the
process. It answers requests that arrive over a pipe: train on these rows, evaluate, report memory.
"""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import torch
from pydantic import JsonValue
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from peftlab.core.errors import UserError
from peftlab.core.inputs import ModelRef
from peftlab.core.process import quiet_libraries
from peftlab.core.training import Precision, TrainingSettings
from peftlab.core.trial import Seeds, Trial
from peftlab.data.batches import Indices, batches, epoch_order, gather, padded_tokens
from peftlab.data.source import open_source, require
from peftlab.engine.classifier import build_classifier
from peftlab.engine.dataset import TrialData, load_data
from peftlab.engine.devices.base import Device
from peftlab.engine.devices.registry import resolve
from peftlab.engine.evaluate import predict_logits
from peftlab.engine.memory import keep_freed_memory
from peftlab.engine.precision import precision_of
from peftlab.engine.prepare import with_method
from peftlab.engine.rate import PartsClock
from peftlab.engine.steps import Steps, unmarked
from peftlab.engine.trainer import EncodedDataset, named_settings
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import load_config, load_model, load_tokenizer
from peftlab.models.flops import Operations
from peftlab.models.fused.choices import Choices, using
from peftlab.models.location import locate
from peftlab.tasks.registry import trained_task

SideName = Literal["packed", "padded", "trainer", "trainer-grouped", "trainer-fp32", "trainer-bf16"]
"""The name of an engine, or of a variant of transformers.Trainer: with its defaults, with batches
of similar lengths, or with a precision that overrides the setup's."""
TRAINER_IN: dict[Precision, SideName] = {"fp32": "trainer-fp32", "bf16": "trainer-bf16"}
PRECISIONS: dict[SideName, dict[str, bool]] = {
    "trainer-fp32": {"bf16": False, "tf32": False},
    "trainer-bf16": {"bf16": True, "tf32": False},
}
PROFILED_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The training that both sides do. With `random_weights` only the shape of `model` is used."""

    model: str
    tokenizer: str
    random_weights: bool
    data: str
    task: str
    method: str
    settings: Mapping[str, JsonValue]
    training: Mapping[str, JsonValue]
    device: str
    cache: Path


@dataclass(frozen=True, kw_only=True)
class TrainTime:
    """The wall seconds of a training on some rows, and the content of its batches."""

    seconds: float
    examples: int
    tokens: int


@dataclass(frozen=True, kw_only=True)
class Launches:
    """The work of a training step on a GPU, by torch's profiler: the kernels and copies that it
    runs, the calls that launch kernels or graphs, the calls that wait for the GPU, and its busy
    time."""

    kernels: float
    starts: float
    copies: float
    waits: float
    busy_milliseconds: float


def sides_on(device: Device, *, grouped: bool) -> list[SideName]:
    """Return what a benchmark compares on a device: our engine, and the peer in its variants.

    `grouped` adds batches of similar lengths where the peer has no variants in precision.
    """
    peers: list[SideName] = [TRAINER_IN[precision] for precision in device.trainer_precisions]
    if not peers:
        peers = ["trainer", "trainer-grouped"] if grouped else ["trainer"]
    return ["packed", *peers]


def serve(connection: Connection, side: SideName, setup: Setup, threads: int) -> None:
    """Answer requests (name, arguments) with results, or with the exception, until told to end."""
    quiet_libraries()
    torch.set_num_threads(threads)
    try:
        worker: Any
        with closing(side_of(side, setup)) as worker:
            connection.send("ready")
            while True:
                name, arguments = connection.recv()
                if name == "end":
                    return
                connection.send(getattr(worker, name)(*arguments))
    except EOFError:
        return
    except Exception as error:
        connection.send(error if isinstance(error, UserError) else RuntimeError(repr(error)))


def side_of(side: SideName, setup: Setup) -> EngineSide | TrainerSide:
    """Return the side of that name with its model and data loaded."""
    if side in ("packed", "padded"):
        return EngineSide(setup, engine=side)
    return TrainerSide(setup, side)


class _Side(ABC):
    """A model with its data, and one way to train it."""

    def __init__(self, setup: Setup, **precision: bool) -> None:
        self.device = resolve(setup.device)
        self._opened = ExitStack()
        task = trained_task(setup.task, where="--task")
        source = open_source(setup.data, where="--data")
        require(source, task, setup.data, where="--data")
        self.method = method = METHODS.get(setup.method, where="--method")
        self.trial = Trial(
            task=setup.task,
            data=source.ref(task),
            model=ModelRef(name=setup.tokenizer, fingerprint=locate(setup.tokenizer).fingerprint),
            method=setup.method,
            method_config=method.resolve(setup.settings, where="--set"),
            training=TrainingSettings.model_validate({**setup.training, **precision}),
            seed=0,
            seeds=Seeds.of(0),
        )
        self._opened.enter_context(precision_of(self.trial.training, self.device))
        self.tokenizer = load_tokenizer(setup.tokenizer)
        self.data: TrialData = load_data(self.trial, self.tokenizer, setup.cache)
        self.base = _load(setup, task.num_labels)
        self.module, parameters = with_method(self.base, self.trial, seed=0, device=self.device)
        self.operations = Operations.of_model(self.base, parameters) or Operations.of_config(
            self.base.config, parameters
        )
        self.module.train()

    def close(self) -> None:
        """Undo the changes that the side has made to its process."""
        self._opened.close()

    @abstractmethod
    def train(self, rows: Indices) -> TrainTime:
        """Train on the rows; return the time that it took."""

    def num_examples(self) -> int:
        """Return the number of training rows."""
        return len(self.data.train)

    def padding_share(self) -> float:
        """Return the share of padding in random batches, each padded to its longest example."""
        lengths = self.data.train.lengths
        order = epoch_order(len(lengths), seed=0, epoch=1)
        size = self.trial.training.per_device_train_batch_size
        return 1 - int(lengths.sum()) / padded_tokens(lengths, order, size)

    def peak_memory_bytes(self) -> int:
        """Return the peak memory so far: the device's, if it has memory of its own."""
        return self.device.peak_memory_bytes() or 0

    def peak_flops_per_second(self) -> float:
        """Return the best rate that a square matrix product reaches now in the side's precision."""
        return self.device.peak_flops_per_second(0.3, self.trial.training.precision)

    def launches(self, rows: Indices) -> Launches | None:
        """Return the work of a training step on the device; None if that cannot be counted."""
        if not self.device.counts_launches:
            return None
        from torch.profiler import ProfilerActivity, profile

        size = self.trial.training.per_device_train_batch_size
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
            self.train(rows[: size * PROFILED_STEPS])
        events = seen.key_averages()

        def per_step(*words: str) -> float:
            found = [one.count for one in events if any(word in one.key for word in words)]
            return float(sum(found)) / PROFILED_STEPS

        return Launches(
            kernels=sum(one.count for one in events if one.self_device_time_total > 0)
            / PROFILED_STEPS,
            starts=per_step("LaunchKernel", "GraphLaunch"),
            copies=per_step("cudaMemcpy"),
            waits=per_step("Synchronize"),
            busy_milliseconds=sum(one.self_device_time_total for one in events)
            / PROFILED_STEPS
            / 1e3,
        )

    def _time(self, seconds: float, rows: Indices) -> TrainTime:
        tokens = int(self.data.train.lengths[rows].sum())
        return TrainTime(seconds=seconds, examples=len(rows), tokens=tokens)


class EngineSide(_Side):
    """One of our engines: it takes the steps of training and gathers batches on the way."""

    def __init__(self, setup: Setup, *, engine: str = "packed") -> None:
        keep_freed_memory()
        super().__init__(setup)
        self.classifier = build_classifier(
            engine,
            self.module,
            self.base,
            self.device.torch,
            method=self.method,
            training=self.trial.training,
            eval_tokens=self.device.eval_tokens_per_batch,
        )
        self.choices = self._opened.enter_context(using(Choices()))
        self.steps = self._opened.enter_context(
            Steps.active(self.classifier, self.trial, self.data)
        )

    def path(self) -> str:
        """Return the words for how batches, products and steps are computed."""
        words = (self.classifier.path, self.choices.words, self.steps.words)
        return ", ".join(filter(None, words))

    def train(self, rows: Indices) -> TrainTime:
        """Train on the rows, in their order."""
        began = perf_counter()
        for batch in batches(rows, self.trial.training.per_device_train_batch_size):
            self.steps.take(batch)
        self.device.synchronize()
        return self._time(perf_counter() - began, rows)

    def evaluate(self) -> float:
        """Return the seconds that predicting the dev split takes."""
        with self.steps.complete():
            began = perf_counter()
            predict_logits(self.classifier, self.data.dev, batch_size=8)
            return perf_counter() - began

    def split(self, rows: Indices) -> dict[str, float]:
        """Return the seconds of each part: gather (also in forward), forward, backward, optimizer.

        The steps are those of training; each batch is gathered once more only to be timed.
        """
        clock, gathering = PartsClock(self.device), 0.0
        self.steps.mark = clock
        for batch in batches(rows, self.trial.training.per_device_train_batch_size):
            began = perf_counter()
            gather(self.data.train, batch)
            gathering += perf_counter() - began
            clock.begin()
            self.steps.take(batch)
        self.steps.mark = unmarked
        return {"gather": gathering, **clock.seconds}

    def flops(self, rows: Indices) -> float:
        """Return the useful operations of training on the rows (models/flops.py)."""
        return self.operations.train_flops(self.data.train.lengths[rows].tolist())

    def eval_flops(self) -> float:
        """Return the useful operations of predicting the dev split."""
        return self.operations.eval_flops(self.data.dev.lengths.tolist())


class TrainerSide(_Side):
    """transformers.Trainer with its defaults, its own sampler, loader and loop."""

    def __init__(self, setup: Setup, side: SideName) -> None:
        super().__init__(setup, **PRECISIONS.get(side, {}))
        self.sampling = "group_by_length" if side == "trainer-grouped" else "random"
        self._folder = tempfile.TemporaryDirectory()

    def path(self) -> str:
        """Return the words for how batches are computed."""
        precision = self.trial.training.precision
        return f"transformers.Trainer, batches {self.sampling.replace('_', ' ')}, {precision}"

    def train(self, rows: Indices) -> TrainTime:
        """Train on the rows in an order drawn by the Trainer; its set-up is not timed."""
        clock = _Clock()
        trainer = self._trainer(EncodedDataset(self.data.train, rows))
        trainer.add_callback(clock)
        trainer.train()
        return self._time(clock.seconds, rows)

    def evaluate(self) -> float:
        """Return the seconds that Trainer.predict takes on the dev split."""
        trainer = self._trainer(EncodedDataset(self.data.dev))
        dev = EncodedDataset(self.data.dev)
        began = perf_counter()
        trainer.predict(dev)
        return perf_counter() - began

    def _trainer(self, dataset: EncodedDataset) -> Trainer:
        settings = named_settings(self.trial.training) | {"num_train_epochs": 1, "max_steps": -1}
        trainer = Trainer(
            model=self.module,
            args=TrainingArguments(
                output_dir=self._folder.name,
                **settings,
                train_sampling_strategy=self.sampling,
                **self.device.trainer_arguments(),
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
            ),
            train_dataset=dataset,
            data_collator=DataCollatorWithPadding(self.tokenizer.tokenizer),
        )
        trainer.remove_callback(PrinterCallback)  # stdout is the command's own
        return trainer


class _Clock(TrainerCallback):
    """The seconds from the beginning of the epoch, before its first batch is loaded, to its end."""

    seconds = 0.0

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        self._began = perf_counter()

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        self.seconds = perf_counter() - self._began


def _load(setup: Setup, num_labels: int) -> PreTrainedModel:
    if not setup.random_weights:
        return load_model(setup.model, num_labels=num_labels, seed=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: PreTrainedModel = AutoModelForSequenceClassification.from_config(
            load_config(setup.model, num_labels=num_labels)
        )
    return model
