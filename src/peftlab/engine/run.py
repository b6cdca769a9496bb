"""The trials of a job from their descriptions to their artifacts, by whichever engine."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch

from peftlab.core.errors import PeftlabError, StorageError, UserError
from peftlab.core.files import folder_sha256, remove_leftovers, whole_folder
from peftlab.core.identity import file_sha256
from peftlab.core.measurements import Costs
from peftlab.core.trial import Trial
from peftlab.engine.base import Trained, TrialRun
from peftlab.engine.devices.base import Device
from peftlab.engine.devices.registry import resolve
from peftlab.engine.energy import EnergyMeter
from peftlab.engine.events import Failed, Finished, Interrupted, Listener, Paused
from peftlab.engine.job import Job
from peftlab.engine.loop import Tally
from peftlab.engine.memory import PeakMemory
from peftlab.engine.precision import precision_of
from peftlab.engine.prepare import Prepared, prepare
from peftlab.engine.registry import ENGINES
from peftlab.engine.reported import ReportedEvaluation
from peftlab.models.flops import Operations
from peftlab.store.records import MODEL_FOLDER, PREDICTIONS_FILE

OnSaved = Callable[[Trial], None]


def run_job(job: Job, tell: Listener, *, on_saved: OnSaved = lambda trial: None) -> None:
    """Run the trials of a job one after another, telling how each of them goes and ends.

    `on_saved` is called whenever a checkpoint of a trial has been written, and when all its
    artifacts are there, before it is told as finished. A failure of one trial leaves the others
    alone. UserError (data or checkpoints that are not there), StorageError and KeyboardInterrupt
    end the job: what has not ended is told as interrupted, then the exception goes on.
    """
    ended = 0
    try:
        for trial in job.trials:
            end: Finished | Paused | Failed
            try:
                end = run_trial(trial, job, tell, on_saved)
            except (UserError, StorageError):
                raise
            except Exception as error:
                end = Failed(trial_id=trial.id, error=describe(error))
            ended += 1  # it has, also where that cannot be stored, or somebody stops it now
            tell(end)
    except (KeyboardInterrupt, UserError, StorageError):
        for trial in job.trials[ended:]:
            tell(Interrupted(trial_id=trial.id))
        raise


def run_trial(trial: Trial, job: Job, tell: Listener, on_saved: OnSaved) -> Finished | Paused:
    """Train, evaluate and save a trial of a job, going on from where an attempt before has come to.

    Its folder gets `predictions.parquet` (the dev split, replaced at every evaluation that would be
    the one to report), `checkpoints/` (the state of the training now and then), and at
    the end `model/` (what the method saves). An engine that does not rest goes on to the end.

    Raises UserError for data or checkpoints that are not there and a precision that the device does
    not have, TrialError for a training that diverges, and KeyboardInterrupt if the process is asked
    to stop.
    """
    device = resolve(job.device)
    with precision_of(trial.training, device):
        return _run(trial, job, device, tell, on_saved)


def _run(
    trial: Trial, job: Job, device: Device, tell: Listener, on_saved: OnSaved
) -> Finished | Paused:
    began = perf_counter()
    memory = PeakMemory(device)
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
        energy=EnergyMeter(device, is_alone=job.is_alone),
        on_saved=lambda: on_saved(trial),
    )
    trained = ENGINES.get(trial.engine).load().train(prepared, run)
    is_paused = trained.tally.is_paused
    if not is_paused:
        _save(prepared, folder / MODEL_FOLDER)
    end = (Paused if is_paused else Finished)(
        trial_id=trial.id,
        costs=_costs(run, prepared, trained, memory, perf_counter() - began),
        num_train_examples=len(data.train),
        num_eval_examples=len(data.dev),
    )
    on_saved(trial)
    return end


def _costs(
    run: TrialRun, prepared: Prepared, trained: Trained, memory: PeakMemory, seconds: float
) -> Costs:
    """Return what the training has cost; `seconds` are those of this attempt."""
    tally, cached, folder = trained.tally, trained.cached, run.folder
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
        total_seconds=tally.earlier_seconds + seconds,
        train_examples_per_second=tally.examples / max(tally.train_seconds, 1e-9),
        train_tokens_per_second=tally.tokens / max(tally.train_seconds, 1e-9),
        eval_tokens_per_second=_eval_tokens(prepared, tally) / max(tally.eval_seconds, 1e-9),
        padding_avoided=0.0 if trained.pads else tally.padding_share,
        path=trained.path,
        cached_layers=num_cached,
        caching_seconds=0.0 if cached is None else cached.seconds,
        peak_memory_bytes=memory.read(),
        artifact_bytes=None if is_paused else _folder_bytes(folder / MODEL_FOLDER),
        energy_joules=run.energy.read(),
        train_flops=None if num_cached else _train_flops(prepared, tally),
        inference_seconds_per_example=None
        if num_cached or dev_seconds is None
        else dev_seconds / len(prepared.data.dev),
        predictions_sha256=None if is_paused else _sha256(folder / PREDICTIONS_FILE),
        model_sha256=None if is_paused else folder_sha256(folder / MODEL_FOLDER),
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
