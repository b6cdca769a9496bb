"""What the sections of benchmarks.gpu share: small models, rows and trials, timed cells."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Told = Iterator[tuple[str, Any]]
"""What a section finds, by name, as soon as it is found."""
PRECISIONS: dict[str, dict[str, bool]] = {
    "fp32": {},
    "tf32": {"tf32": True},
    "bf16": {"bf16": True},
}
TINY: dict[str, Any] = {
    "vocab_size": 200, "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 256, "max_position_embeddings": 128, "initializer_range": 0.1,
}  # fmt: skip
"""A BERT that is compiled and run in a moment, wide enough for programs of several blocks."""


CELLS = [("bert-base", "lora", task) for task in ("sst2", "cola", "mrpc")]
CELLS += [("bert-base", "full", "sst2"), ("minilm", "lora", "sst2")]
"""Model, method and task of what is timed."""


def setup_of(
    given: argparse.Namespace, title: str, method: str, task: str, training: Any = None
) -> Any:
    """The setup of a cell; of bert-base only the shape is there."""
    from peftlab.engine.bench import Setup

    return Setup(
        model=given.minilm if title == "minilm" else "google-bert/bert-base-uncased",
        tokenizer=given.minilm, random_weights=title != "minilm", data=str(given.data), task=task,
        method=method, settings={}, device=given.device, cache=given.output / "cache",
        training={
            "per_device_train_batch_size": 16, "learning_rate": 1e-4, "max_steps": 10**6,
            **(training or {}),
        },
    )  # fmt: skip


def small_classifier(device: str, method: str, *, bf16: bool) -> tuple[Any, Any]:
    """A small random BERT under a method on a device, and its classifier for packed batches."""
    import torch
    from transformers.models.bert import BertConfig, BertForSequenceClassification

    from peftlab.core.training import TrainingSettings
    from peftlab.engine.classifier import build_classifier
    from peftlab.methods.registry import METHODS

    torch.manual_seed(0)
    base = BertForSequenceClassification(BertConfig(**TINY))
    chosen = METHODS.get(method)
    module = chosen.apply(base, chosen.resolve({}), seed=1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    module = module.to(device).train()
    classifier = build_classifier(
        "packed",
        module,
        base,
        torch.device(device),
        dropout_seed=3,
        training=TrainingSettings(bf16=bf16),
    )
    return module, classifier


def random_rows(count: int = 64) -> Any:
    """Rows of 1 to 60 random tokens with two labels."""
    import numpy as np

    from peftlab.data.encode import Encoded

    draw = np.random.default_rng(0)
    lengths = draw.integers(1, 60, count)
    return Encoded(
        ids=draw.integers(1, TINY["vocab_size"], lengths.sum()).astype(np.int32),
        type_ids=None,
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        labels=np.arange(count) % 2,
        row_ids=np.arange(count),
    )


def gradients_of(device: str, method: str, *, kernels: str, bf16: bool = False) -> Any:
    """The gradients of all that trains after one batch, side by side."""
    import numpy as np
    import torch

    from peftlab.engine.loss import summed_loss

    os.environ["PEFTLAB_KERNELS"] = kernels
    module, classifier = small_classifier(device, method, bf16=bf16)
    data, rows = random_rows(), np.arange(16)
    with classifier.active():
        summed_loss(classifier.logits(data, rows, step=2), data.labels[rows]).backward()
    found = [p.grad.flatten() for p in module.parameters() if p.grad is not None]
    return torch.cat(found)


def steps_of(
    device: str, method: str, training: Any, *, records: bool = True
) -> tuple[list[float], Any, str]:
    """Losses of steps, the weights behind them side by side, and the words for how they go."""
    from dataclasses import replace

    import torch

    from peftlab.engine.dataset import TrialData
    from peftlab.engine.devices.registry import resolve
    from peftlab.engine.precision import precision_of
    from peftlab.engine.steps import Steps
    from peftlab.models.fused import backends
    from peftlab.tasks.registry import TASKS

    os.environ["PEFTLAB_KERNELS"] = "triton"
    given = {"max_steps": 20, "learning_rate": 1e-3, "per_device_train_batch_size": 8, **training}
    trial = small_trial(model="minilm", method=method, rows=64, epochs=1, training=given)
    backend = backends.TRITON if records else replace(backends.TRITON, capture=None)
    backends.BACKENDS = (backends.NUMBA, backend)
    module, classifier = small_classifier(device, method, bf16=trial.training.bf16)
    data = random_rows()
    every = TrialData(task=TASKS.get("demo-sentiment"), train=data, dev=data)
    with (
        precision_of(trial.training, resolve(device)),
        Steps.active(classifier, trial, every) as taken,
    ):
        rows = rows_in_order(64)
        for step in range(trial.training.max_steps):
            taken.take(rows[8 * (step % 8) : 8 * (step % 8) + 8])
        losses = [loss for _, loss in taken.read_losses()]
        weights = [p.detach().flatten() for p in module.parameters() if p.requires_grad]
        return losses, torch.cat(weights), taken.words


def relative_error(found: Any, expected: Any) -> float:
    """The difference of two vectors, relative to the second's norm."""
    return float((found - expected).norm() / expected.norm())


def small_trial(
    *, model: str, method: str, rows: int, epochs: int, batch: int = 8, max_length: int = 20,
    training: Any = None,
) -> Any:  # fmt: skip
    from peftlab.core.training import TrainingSettings
    from peftlab.core.trial import Seeds, Trial
    from peftlab.data.demo.source import DemoSource
    from peftlab.methods.registry import METHODS
    from peftlab.models.location import locate
    from peftlab.tasks.registry import TASKS

    return Trial(
        task="demo-sentiment",
        data=DemoSource().ref(TASKS.get("demo-sentiment")),
        model=locate(model),
        method=method,
        method_config=METHODS.get(method).resolve({}),
        training=TrainingSettings.model_validate(
            {
                "num_train_epochs": epochs,
                "per_device_train_batch_size": batch,
                "learning_rate": 1e-3,
                **(training or {}),
            }
        ),
        seed=1,
        seeds=Seeds.of(1),
        max_train_samples=rows,
        max_eval_samples=24,
        max_length=max_length,
    )


def logits_of(
    trial: Any, device: str, *, stop_after: int | None = None, told: dict[str, Any] | None = None
) -> Any:
    """The dev logits of a trial; with `stop_after` it rests behind that epoch and goes on."""
    from peftlab.data.predictions import read_predictions
    from peftlab.engine.events import ignore
    from peftlab.engine.job import Job
    from peftlab.engine.run import run_trial

    with tempfile.TemporaryDirectory() as folder:
        for until in [stop_after, None] if stop_after else [None]:
            job = Job(
                trials=(trial,), folders={trial.id: Path(folder) / "trial"},
                cache=Path(folder) / "cache", device=device, stop_after=until,
            )  # fmt: skip
            outcome = run_trial(trial, job, ignore, lambda trial: None)
        if told is not None:
            told |= {"path": outcome.costs.path, "peak_memory_bytes":
                     outcome.costs.peak_memory_bytes}  # fmt: skip
        return read_predictions(Path(folder) / "trial" / "predictions.parquet").logits


def tiny_checkpoint(folder: Path, name: str) -> str:
    """The folder of a tiny checkpoint of a family, with dropout wherever it has any."""
    from tests.models.tiny import write_tiny_checkpoint

    path = Path(write_tiny_checkpoint(folder, name)) / "config.json"
    config = json.loads(path.read_text())
    for key in config:
        if "dropout" in key or key.endswith("pdrop"):
            config[key] = 0.1
    path.write_text(json.dumps(config))
    return str(folder)


def against_cpu(device: str, *, model: str, method: str) -> Any:
    """The largest difference of dev logits after some steps, or what went wrong."""
    import numpy as np

    trial = small_trial(model=model, method=method, rows=24, epochs=1)
    try:
        there, here = logits_of(trial, device), logits_of(trial, "cpu")
    except Exception as error:  # one that fails is a finding, the others are still to be tried
        return f"{type(error).__name__}: {str(error)[:200]}"
    return {"difference": float(np.abs(there - here).max()), "largest": float(np.abs(here).max())}


def rows_in_order(count: int) -> Any:
    """Return so many rows in a random order, the same each time."""
    import numpy as np

    return np.random.default_rng(0).permutation(count).astype(np.int64)
