"""One trial from its description to its artifacts: the same record from every engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch

from peftlab.core.errors import StorageError
from peftlab.core.files import folder_sha256, remove_leftovers, whole_folder
from peftlab.core.identity import file_sha256
from peftlab.core.selection import reported
from peftlab.core.types import EVERY_EPOCH, CheckpointEvery, Costs, EpochRecord, Trial
from peftlab.data.predictions import Predictions, write_predictions
from peftlab.engine.best import BestEpoch
from peftlab.engine.checkpoint import Checkpoints
from peftlab.engine.classifier import build_classifier, rows_together
from peftlab.engine.energy import EnergyMeter
from peftlab.engine.frozen import CachedLayers, cache_frozen_layers
from peftlab.engine.loop import Tally, train
from peftlab.engine.memory import PeakMemory, keep_freed_memory
from peftlab.engine.observer import Observer
from peftlab.engine.prepare import Prepared, choose_device, prepare
from peftlab.models.flops import EncoderShape, step_flops
from peftlab.models.fused.blocks import embeddings_of, has_blocks, num_frozen_blocks
from peftlab.store.records import CHECKPOINTS_FOLDER, MODEL_FOLDER, PREDICTIONS_FILE


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What is known of a trial once it has ended, beside its epochs.

    Or, with `is_paused`, once it rests at the end of an epoch, from where it can go on.
    """

    costs: Costs
    num_train_examples: int
    num_eval_examples: int
    is_paused: bool = False


def run_trial(
    trial: Trial,
    *,
    workspace_cache: Path,
    artifacts: Path,
    observer: Observer,
    device: str = "auto",
    checkpoint_every: CheckpointEvery = EVERY_EPOCH,
    micro_batch: int | None = None,
    stop_after: int | None = None,
    on_saved: Callable[[], None] = lambda: None,
    is_alone: bool = False,
) -> Outcome:
    """Train, evaluate and save one trial, going on from where an earlier attempt has come to.

    `artifacts` gets `predictions.parquet` (the dev split, replaced at the end of every epoch that
    would be the one to report), `checkpoints/` (the state of the training now and then), and at
    the end `model/` (what the method saves). Behind the epoch `stop_after` the trial rests; the
    engine `trainer`, which has no checkpoints, goes on to the end. With `micro_batch` only
    so many examples are computed at once, and where memory does not suffice half as many; the
    gradients are the same to rounding. `on_saved` is called whenever a checkpoint has been
    written. The energy that it takes is measured if no other trial runs beside it (`is_alone`).

    Raises UserError for data or checkpoints that are not there, TrialError for a training that
    diverges, and KeyboardInterrupt if the process is asked to stop.
    """
    began = perf_counter()
    place = choose_device(device)
    memory = PeakMemory(place)
    prepared = prepare(trial, cache=workspace_cache, device=place)
    data, module = prepared.data, prepared.module
    artifacts.mkdir(parents=True, exist_ok=True)
    remove_leftovers(artifacts)
    recorder = _PredictionsWriter(observer, artifacts / PREDICTIONS_FILE)
    best = None if data.held_out is None else BestEpoch(data.dev)
    cached = CachedLayers(data=data, num_layers=0, words="")
    energy = EnergyMeter(place, is_alone=is_alone)
    if trial.engine == "trainer":
        from peftlab.engine.trainer import train_with_trainer  # a second of imports

        with energy:
            tally = train_with_trainer(
                module,
                prepared.tokenizer,
                trial,
                data,
                recorder,
                best,
                together=rows_together(prepared.base, prepared.method),
                spare=artifacts,
            )
        path, packs = "transformers.Trainer", False
    else:
        keep_freed_memory()
        classifier = build_classifier(
            trial.engine,
            module,
            prepared.base,
            place,
            dropout_seed=trial.seeds.dropout,
            method=prepared.method,
        )
        if trial.cache_frozen:
            cached = cache_frozen_layers(classifier, trial, data, workspace_cache)
        checkpoints = Checkpoints(
            folder=artifacts / CHECKPOINTS_FOLDER, every=checkpoint_every, on_saved=on_saved
        )
        with energy:
            tally = train(
                classifier,
                trial,
                cached.data,
                recorder,
                checkpoints,
                best=best,
                stop_after=stop_after,
                micro_batch=micro_batch,
                energy=energy,
            )
        path = ", ".join(filter(None, (classifier.path, cached.words, tally.words)))
        packs = classifier.packs
    if not tally.is_paused:
        if best is not None and best.predictions is not None:
            write_predictions(artifacts / PREDICTIONS_FILE, best.predictions)
        _save(prepared, artifacts / MODEL_FOLDER)
    return Outcome(
        costs=Costs(
            parameters=prepared.parameters,
            device=str(place),
            threads=torch.get_num_threads(),
            train_seconds=tally.train_seconds,
            eval_seconds=tally.eval_seconds,
            total_seconds=tally.earlier_seconds + perf_counter() - began,
            train_examples_per_second=tally.examples / max(tally.train_seconds, 1e-9),
            train_tokens_per_second=tally.tokens / max(tally.train_seconds, 1e-9),
            padding_avoided=tally.padding_share if packs else 0.0,
            path=path,
            cached_layers=cached.num_layers,
            caching_seconds=cached.seconds,
            peak_memory_bytes=memory.read(),
            artifact_bytes=None if tally.is_paused else _folder_bytes(artifacts / MODEL_FOLDER),
            energy_joules=energy.read(),
            train_flops=None if cached.num_layers else _train_flops(prepared, tally),
            inference_seconds_per_example=None
            if cached.num_layers or tally.dev_seconds is None
            else tally.dev_seconds / len(data.dev),
            predictions_sha256=None if tally.is_paused else _sha256(artifacts / PREDICTIONS_FILE),
            model_sha256=None if tally.is_paused else folder_sha256(artifacts / MODEL_FOLDER),
        ),
        num_train_examples=len(data.train),
        num_eval_examples=len(data.dev),
        is_paused=tally.is_paused,
    )


def _train_flops(prepared: Prepared, tally: Tally) -> float | None:
    """Operations of the training so far, an epoch that was cut short by its tokens.

    None for an architecture whose layers cannot be told.
    """
    base, lengths = prepared.base, prepared.data.train.lengths
    if not has_blocks(base):
        return None
    of_epoch = step_flops(
        EncoderShape.of(base.config),
        lengths.tolist(),
        trains_weights=2 * prepared.parameters.backbone > prepared.parameters.total,
        trains_embeddings=any(
            parameter.requires_grad
            for module in embeddings_of(base)
            for parameter in module.parameters()
        ),
        num_frozen_layers=num_frozen_blocks(base),
    )
    return of_epoch * tally.tokens / int(lengths.sum())


def _save(prepared: Prepared, folder: Path) -> None:
    """What the method saves, whole or not at all; StorageError where it cannot be written."""
    from safetensors import SafetensorError

    try:
        with whole_folder(folder) as aside:
            prepared.method.save(prepared.module, aside)
    except SafetensorError as error:
        raise StorageError(f"cannot write: {error}", where=str(folder)) from error


class _PredictionsWriter:
    """Passes everything on, after it has written the predictions of an epoch to report."""

    def __init__(self, observer: Observer, path: Path) -> None:
        self.observer = observer
        self.path = path
        self.epochs: list[EpochRecord] = []

    def began(self, total_steps: int, total_epochs: int) -> None:
        self.observer.began(total_steps, total_epochs)

    def resumed(self, step: int, epochs: Sequence[EpochRecord]) -> None:
        self.epochs = [*epochs]
        self.observer.resumed(step, epochs)

    def stepped(self, step: int, loss: float) -> None:
        self.observer.stepped(step, loss)

    def ended_epoch(self, record: EpochRecord, predictions: Predictions) -> None:
        self.epochs.append(record)
        if reported(self.epochs) is record:
            write_predictions(self.path, predictions)
        self.observer.ended_epoch(record, predictions)


def _sha256(path: Path) -> str | None:
    """Return the SHA-256 of the file; None where somebody has removed it."""
    return file_sha256(path) if path.is_file() else None


def _folder_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
