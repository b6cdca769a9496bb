"""An attempt at a trial: what is prepared before its training, and what follows it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch

from peftlab.core.errors import PeftlabError, StorageError
from peftlab.core.files import folder_sha256, remove_leftovers, whole_folder
from peftlab.core.identity import file_sha256
from peftlab.core.measurements import Costs
from peftlab.core.trial import Trial
from peftlab.engine.base import OnSaved, Trained, TrialRun
from peftlab.engine.clock import Clock
from peftlab.engine.devices.base import Device
from peftlab.engine.energy import Energy, EnergyMeter
from peftlab.engine.events import Finished, Listener, Paused
from peftlab.engine.job import Job
from peftlab.engine.memory import PeakMemory
from peftlab.engine.prepare import Prepared, prepare
from peftlab.engine.reported import ReportedEvaluation
from peftlab.engine.tally import Tally
from peftlab.models.flops import Operations
from peftlab.store.records import MODEL_FOLDER, PREDICTIONS_FILE


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A trial of a job that is ready to be trained, or to go on.

    Its folder gets `predictions.parquet` (the dev split, replaced at every evaluation that would be
    the one to report), `checkpoints/` (the state of the training now and then), and at
    the end `model/` (what the method saves).
    """

    prepared: Prepared
    run: TrialRun
    memory: PeakMemory
    began: float

    @classmethod
    def of(
        cls,
        trial: Trial,
        job: Job,
        device: Device,
        tell: Listener,
        on_saved: OnSaved,
        *,
        clock: Clock | None = None,
        energy: Energy | None = None,
        memory: PeakMemory | None = None,
    ) -> Self:
        """Return the trial with its data and model loaded.

        Raises UserError for data or checkpoints that are not there.
        """
        clock = clock or Clock()
        began, memory = clock.now(), memory or PeakMemory(device)
        prepared = prepare(trial, cache=job.cache, device=device)
        data, folder = prepared.data, job.folder(trial)
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        best = ReportedEvaluation(
            data.dev, file=folder / PREDICTIONS_FILE, keeps_state=data.held_out is not None
        )
        run = TrialRun(
            trial=trial,
            job=job,
            device=device,
            tell=tell,
            best=best,
            energy=energy or EnergyMeter(device, is_alone=job.is_alone),
            clock=clock,
            on_saved=lambda: on_saved(trial),
        )
        return cls(prepared=prepared, run=run, memory=memory, began=began)

    def finish(
        self, trained: Trained, *, together: int = 1, share: float = 1.0
    ) -> Finished | Paused:
        """Save the model, unless the training rests, and return what is to be told.

        `share` is the trial's share of what as many trials as `together` used of the memory. Raises
        StorageError where the model cannot be written.
        """
        prepared, run, is_paused = self.prepared, self.run, trained.tally.is_paused
        if not is_paused:
            _save(prepared, run.folder / MODEL_FOLDER)
        end = (Paused if is_paused else Finished)(
            trial_id=run.trial.id,
            costs=self._costs(trained, together, share),
            num_train_examples=len(prepared.data.train),
            num_eval_examples=len(prepared.data.dev),
        )
        run.on_saved()
        return end

    def _costs(self, trained: Trained, together: int, share: float) -> Costs:
        """Return what the training has cost."""
        prepared, run = self.prepared, self.run
        tally, cached, folder = trained.tally, trained.cached, run.folder
        memory = self.memory.read()
        num_cached = 0 if cached is None else cached.num_layers
        is_paused = tally.is_paused
        dev_seconds = tally.dev_seconds
        return Costs(
            parameters=prepared.parameters,
            device=run.device.name,
            device_name=run.device.model_name,
            threads=torch.get_num_threads(),
            train_seconds=tally.train_seconds,
            eval_seconds=tally.eval_seconds,
            total_seconds=tally.earlier_seconds + run.clock.now() - self.began,
            train_examples_per_second=tally.examples / max(tally.train_seconds, 1e-9),
            train_tokens_per_second=tally.tokens / max(tally.train_seconds, 1e-9),
            eval_tokens_per_second=_eval_tokens(prepared, tally) / max(tally.eval_seconds, 1e-9),
            padding_avoided=0.0 if trained.pads else tally.padding_share,
            path=trained.path,
            cached_layers=num_cached,
            caching_seconds=0.0 if cached is None else cached.seconds,
            peak_memory_bytes=None if memory is None else round(memory * share),
            artifact_bytes=None if is_paused else _folder_bytes(folder / MODEL_FOLDER),
            energy_joules=run.energy.read(),
            train_flops=None if num_cached else _train_flops(prepared, tally),
            inference_seconds_per_example=None
            if num_cached or dev_seconds is None
            else dev_seconds / len(prepared.data.dev),
            predictions_sha256=None if is_paused else _sha256(folder / PREDICTIONS_FILE),
            model_sha256=None if is_paused else folder_sha256(folder / MODEL_FOLDER),
            together=together,
        )


def describe(error: Exception) -> str:
    """Return the cause of a failure: our own words for our own errors, else where it happened."""
    if isinstance(error, PeftlabError):
        return str(error)
    frames = "".join(traceback.format_tb(error.__traceback__)[-3:])
    return f"{type(error).__name__}: {error}\n{frames}".rstrip()


def _train_flops(prepared: Prepared, tally: Tally) -> float | None:
    """Return the operations of the training so far, an epoch that was cut short by its tokens.

    It is None for an architecture whose layers cannot be told.
    """
    operations = Operations.of_model(prepared.base, prepared.parameters)
    if operations is None:
        return None
    lengths = prepared.data.train.lengths
    return operations.train_flops(lengths.tolist()) * tally.tokens / int(lengths.sum())


def _eval_tokens(prepared: Prepared, tally: Tally) -> int:
    """Return the tokens of all evaluations so far, each of which was of the same rows."""
    data = prepared.data
    evaluated = [rows for rows in data.every if rows is not data.train]
    return len(tally.evaluations) * sum(int(rows.lengths.sum()) for rows in evaluated)


def _save(prepared: Prepared, folder: Path) -> None:
    """Write what the method saves, whole or not at all; StorageError where that cannot be."""
    from safetensors import SafetensorError

    try:
        with whole_folder(folder) as aside:
            prepared.method.save(prepared.module, aside)
    except SafetensorError as error:
        raise StorageError(f"cannot write: {error}", where=str(folder)) from error


def _sha256(path: Path) -> str | None:
    """Return the SHA-256 of the file; None where somebody has removed it."""
    return file_sha256(path) if path.is_file() else None


def _folder_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
