"""One trial from its description to its artifacts: the same record from every engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch

from peftlab.core.errors import UserError
from peftlab.core.identity import derived_seed
from peftlab.core.types import Costs, EpochRecord, Trial
from peftlab.data.predictions import Predictions, write_predictions
from peftlab.engine.classifier import build_classifier
from peftlab.engine.dataset import load_data
from peftlab.engine.frozen import CachedLayers, cache_frozen_layers
from peftlab.engine.loop import train
from peftlab.engine.memory import PeakMemory, keep_freed_memory
from peftlab.engine.observer import Observer
from peftlab.engine.trainer import train_with_trainer
from peftlab.methods.head import head_parameter_names
from peftlab.methods.parameters import count_module
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import load_model, load_tokenizer
from peftlab.store.workspace import MODEL_FOLDER, PREDICTIONS_FILE


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What is known of a trial once it has ended, beside its epochs."""

    costs: Costs
    num_train_examples: int
    num_eval_examples: int


def run_trial(
    trial: Trial,
    *,
    workspace_cache: Path,
    artifacts: Path,
    observer: Observer,
    device: str = "auto",
) -> Outcome:
    """Train, evaluate and save one trial.

    `artifacts` gets `predictions.parquet` (the dev split, replaced at the end of every epoch) and
    at the end `model/` (what the method saves). Raises UserError for data or checkpoints that
    are not there, TrialError for a training that diverges.
    """
    began = perf_counter()
    place = choose_device(device)
    memory = PeakMemory(place)
    tokenizer = load_tokenizer(trial.model.name)
    data = load_data(trial, tokenizer, workspace_cache)
    base = load_model(
        trial.model.name,
        num_labels=data.task.num_labels,
        seed=derived_seed(trial.seeds.init, "head"),
    )
    own = frozenset(name for name, _ in base.named_parameters())
    head = frozenset(head_parameter_names(base))
    method = METHODS.get(trial.method)
    module = method.apply(
        base, trial.method_config, seed=derived_seed(trial.seeds.init, "adapter")
    ).to(place)
    parameters = count_module(module, own=own, head=head)
    artifacts.mkdir(parents=True, exist_ok=True)
    recorder = _PredictionsWriter(observer, artifacts / PREDICTIONS_FILE)
    cached = CachedLayers(data=data, num_layers=0, words="")
    if trial.engine == "trainer":
        tally = train_with_trainer(module, tokenizer, trial, data, recorder)
        path, packs = "transformers.Trainer", False
    else:
        keep_freed_memory()
        classifier = build_classifier(
            trial.engine, module, base, place, dropout_seed=trial.seeds.dropout
        )
        if trial.cache_frozen:
            cached = cache_frozen_layers(classifier, trial, data, workspace_cache)
        tally = train(classifier, trial, cached.data, recorder)
        path = ", ".join(filter(None, (classifier.path, cached.words)))
        packs = classifier.packs
    method.save(module, artifacts / MODEL_FOLDER)
    return Outcome(
        costs=Costs(
            parameters=parameters,
            device=str(place),
            threads=torch.get_num_threads(),
            train_seconds=tally.train_seconds,
            eval_seconds=tally.eval_seconds,
            total_seconds=perf_counter() - began,
            train_examples_per_second=tally.examples / max(tally.train_seconds, 1e-9),
            train_tokens_per_second=tally.tokens / max(tally.train_seconds, 1e-9),
            padding_avoided=tally.padding_share if packs else 0.0,
            path=path,
            cached_layers=cached.num_layers,
            caching_seconds=cached.seconds,
            peak_memory_bytes=memory.read(),
            artifact_bytes=_folder_bytes(artifacts / MODEL_FOLDER),
        ),
        num_train_examples=len(data.train),
        num_eval_examples=len(data.dev),
    )


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is the GPU where torch sees one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"no device '{name}' here", where="--device", allowed="auto, cpu, cuda, cuda:0, ..."
        ) from error
    return device


class _PredictionsWriter:
    """Passes everything on, after it has written the epoch's predictions."""

    def __init__(self, observer: Observer, path: Path) -> None:
        self.observer = observer
        self.path = path

    def began(self, total_steps: int, total_epochs: int) -> None:
        self.observer.began(total_steps, total_epochs)

    def stepped(self, step: int, loss: float) -> None:
        self.observer.stepped(step, loss)

    def ended_epoch(self, record: EpochRecord, predictions: Predictions) -> None:
        write_predictions(self.path, predictions)
        self.observer.ended_epoch(record, predictions)


def _folder_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
