"""One side of a benchmark: the same training by this engine or by transformers.Trainer.

Each side lives in a process of its own, so that neither profits from how the other has set up
the process, and does what it is asked over a pipe: train on these rows, evaluate, report memory.
"""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Mapping
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
from peftlab.core.training import TrainingSettings
from peftlab.core.trial import Seeds, Trial
from peftlab.data.batches import Indices, batches, epoch_order, gather, padded_tokens
from peftlab.data.source import open_source, require
from peftlab.engine.classifier import build_classifier
from peftlab.engine.dataset import TrialData, load_data
from peftlab.engine.evaluate import predict_logits
from peftlab.engine.memory import keep_freed_memory
from peftlab.engine.optimizer import clip_gradients
from peftlab.engine.prepare import choose_device
from peftlab.engine.steps import Steps
from peftlab.engine.trainer import EncodedDataset
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import load_config, load_model, load_tokenizer
from peftlab.models.flops import EncoderShape, step_flops
from peftlab.models.location import locate
from peftlab.tasks.registry import trained_task

SideName = Literal["packed", "padded", "trainer", "trainer-grouped"]
PEAK_SIZE = 1024


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What is trained, on both sides alike. With `random_weights` only the model's shape is."""

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
    """Training on some rows: wall seconds, and what was in the batches."""

    seconds: float
    examples: int
    tokens: int


def serve(connection: Connection, side: SideName, setup: Setup, threads: int) -> None:
    """Answer requests (name, arguments) with results, or with the exception, until told to end."""
    quiet_libraries()
    torch.set_num_threads(threads)
    try:
        worker: Any = side_of(side, setup)
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
    """The side of that name, its model and data loaded."""
    if side in ("packed", "padded"):
        return EngineSide(setup, engine=side)
    return TrainerSide(setup, side)


class _Side:
    def __init__(self, setup: Setup) -> None:
        self.device = choose_device(setup.device)
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
            training=TrainingSettings.model_validate(setup.training),
            seed=0,
            seeds=Seeds.of(0),
        )
        self.tokenizer = load_tokenizer(setup.tokenizer)
        self.data: TrialData = load_data(self.trial, self.tokenizer, setup.cache)
        self.base = _load(setup, task.num_labels)
        self.module = method.apply(self.base, self.trial.method_config, seed=0).to(self.device)
        self.module.train()

    def num_examples(self) -> int:
        """Rows to train on."""
        return len(self.data.train)

    def padding_share(self) -> float:
        """The share of padding in random batches, each padded to its longest example."""
        lengths = self.data.train.lengths
        order = epoch_order(len(lengths), seed=0, epoch=1)
        size = self.trial.training.per_device_train_batch_size
        return 1 - int(lengths.sum()) / padded_tokens(lengths, order, size)

    def peak_memory_bytes(self) -> int:
        """The process's highest resident memory so far; of the GPU where it is used."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def _time(self, seconds: float, rows: Indices) -> TrainTime:
        tokens = int(self.data.train.lengths[rows].sum())
        return TrainTime(seconds=seconds, examples=len(rows), tokens=tokens)


class EngineSide(_Side):
    """One of our engines: the steps that `train` takes, batches made and gathered on the way."""

    def __init__(self, setup: Setup, *, engine: str = "packed") -> None:
        keep_freed_memory()
        super().__init__(setup)
        self.classifier = build_classifier(
            engine, self.module, self.base, self.device, method=self.method
        )
        self.steps = Steps(self.classifier, self.trial, self.data)
        self._active = self.steps.active()
        self._active.__enter__()

    def path(self) -> str:
        """How the batches are computed."""
        return self.classifier.path

    def train(self, rows: Indices) -> TrainTime:
        """Train on the rows, in their order."""
        began = perf_counter()
        for batch in batches(rows, self.trial.training.per_device_train_batch_size):
            self.steps.take(batch)
        self._wait()
        return self._time(perf_counter() - began, rows)

    def evaluate(self) -> float:
        """Seconds to predict the dev split."""
        with self.steps.complete():
            began = perf_counter()
            predict_logits(self.classifier, self.data.dev, batch_size=8)
            return perf_counter() - began

    def split(self, rows: Indices) -> dict[str, float]:
        """Seconds of a step's parts: gather (of forward), forward, backward, optimizer."""
        spent = dict.fromkeys(("gather", "forward", "backward", "optimizer"), 0.0)
        settings, steps = self.trial.training, self.steps
        for number, batch in enumerate(batches(rows, settings.per_device_train_batch_size)):
            marks = [perf_counter()]
            gather(self.data.train, batch)
            marks.append(perf_counter())
            logits = self.classifier.logits(self.data.train, batch, step=number)
            loss = steps.summed_loss(logits, self.data.train.labels[batch]) / len(batch)
            marks.append(perf_counter())
            loss.backward()
            marks.append(perf_counter())
            clip_gradients(steps.optimizer, steps.parameters, settings.max_grad_norm)
            steps.optimizer.step()
            steps.optimizer.zero_grad(set_to_none=True)
            self._wait()
            marks.append(perf_counter())
            for name, start, end in zip(spent, marks, marks[1:], strict=False):
                spent[name] += end - start
        return spent

    def flops(self, rows: Indices) -> float:
        """Useful operations of training on the rows (models/flops.py)."""
        table = self.classifier.word_embedding.weight
        trains_weights = self.trial.method == "full"
        lengths = self.data.train.lengths
        return sum(
            step_flops(
                EncoderShape.of(self.base.config),
                lengths[batch].tolist(),
                trains_weights=trains_weights,
                trains_embeddings=bool(table.requires_grad),
            )
            for batch in batches(rows, self.trial.training.per_device_train_batch_size)
        )

    def eval_flops(self) -> float:
        """Useful operations of predicting the dev split."""
        shape = EncoderShape.of(self.base.config)
        return step_flops(
            shape,
            self.data.dev.lengths.tolist(),
            trains_weights=False,
            trains_embeddings=False,
            num_frozen_layers=shape.num_layers,
        )

    def peak_flops_per_second(self, seconds: float = 0.3) -> float:
        """The best that a square fp32 matrix product reaches now."""
        size = PEAK_SIZE if self.device.type == "cpu" else 8 * PEAK_SIZE
        left, right = torch.rand(size, size), torch.rand(size, size)
        left, right = left.to(self.device), right.to(self.device)
        out, best = torch.empty_like(left), float("inf")
        ends = perf_counter() + seconds
        while perf_counter() < ends:
            began = perf_counter()
            torch.mm(left, right, out=out)
            self._wait()
            best = min(best, perf_counter() - began)
        return float(2 * size**3 / best)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class TrainerSide(_Side):
    """transformers.Trainer with its defaults, its own sampler, loader and loop."""

    def __init__(self, setup: Setup, side: SideName) -> None:
        super().__init__(setup)
        self.sampling = "group_by_length" if side == "trainer-grouped" else "random"
        self._folder = tempfile.TemporaryDirectory()

    def path(self) -> str:
        """How the batches are computed."""
        return f"transformers.Trainer, batches {self.sampling.replace('_', ' ')}"

    def train(self, rows: Indices) -> TrainTime:
        """Train on the rows in an order that the Trainer draws; its set-up is not counted."""
        clock = _Clock()
        trainer = self._trainer(EncodedDataset(self.data.train, rows))
        trainer.add_callback(clock)
        trainer.train()
        return self._time(clock.seconds, rows)

    def evaluate(self) -> float:
        """Seconds of Trainer.predict on the dev split."""
        trainer = self._trainer(EncodedDataset(self.data.dev))
        dev = EncodedDataset(self.data.dev)
        began = perf_counter()
        trainer.predict(dev)
        return perf_counter() - began

    def _trainer(self, dataset: EncodedDataset) -> Trainer:
        on_cpu = self.device.type == "cpu"
        settings = self.trial.training.model_dump() | {"num_train_epochs": 1, "max_steps": -1}
        trainer = Trainer(
            model=self.module,
            args=TrainingArguments(
                output_dir=self._folder.name,
                **settings,
                train_sampling_strategy=self.sampling,
                use_cpu=on_cpu,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                dataloader_pin_memory=not on_cpu,
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
