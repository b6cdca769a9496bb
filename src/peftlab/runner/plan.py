"""What a study will do and cost, trial by trial, before it is run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from time import perf_counter

import numpy as np
from pydantic import JsonValue

from peftlab.core.corrections import CORRECTIONS
from peftlab.core.errors import UserError
from peftlab.core.identity import canonical_json
from peftlab.core.measurements import ParameterCount
from peftlab.core.process import may_have_card, search_put_off
from peftlab.core.progress import stage
from peftlab.core.trial import Trial
from peftlab.data.batches import epoch_order, padded_tokens
from peftlab.data.encode import Encoded, Tokenizer
from peftlab.data.held_out import is_held_out
from peftlab.data.source import open_ref
from peftlab.engine.dataset import encode_split
from peftlab.engine.registry import ENGINES
from peftlab.methods.counts import count
from peftlab.models.checkpoints import tokenizer_of
from peftlab.models.facts import config_facts
from peftlab.models.tokenizer import HubTokenizer
from peftlab.store.records import Status, is_open
from peftlab.store.rows import Speed
from peftlab.store.workspace import Workspace
from peftlab.study.remarks.checkpoint_remarks import unused_head, weights_remarks
from peftlab.study.remarks.row_remarks import require_labels
from peftlab.study.trials import Expanded
from peftlab.tasks.registry import task_of

SHARE_OF_PEAK = 0.5
"""What part of a processor's matrix multiplication a training reaches, for a first estimate."""

CARD_SECONDS_PER_LAYER = 0.005
"""What a layer takes of a step on a GPU, however few its tokens: the time is that of starting the
kernels, not of their work (benchmarks/gpu.py, section steps)."""


@dataclass(frozen=True, kw_only=True)
class TrialPlan:
    """One trial's cost in advance.

    `tokens` are the real tokens of all training batches, `padding` the share that padding each
    batch to its longest example would add to them (of the padded total, in the first epoch of the
    study's first seed), None where the data or the tokenizer are not at hand. `seconds` estimates
    training and evaluation together.
    """

    trial: Trial
    arms: tuple[str, ...]
    status: Status
    parameters: ParameterCount
    steps: int
    epochs: int
    num_train_examples: int
    num_eval_examples: int
    tokens: int | None
    padding: float | None
    seconds: float | None

    def to_json(self) -> dict[str, JsonValue]:
        """The object of `run STUDY --dry-run --json`."""
        parameters = self.parameters
        return {
            "id": self.trial.id,
            "arm": list(self.arms),
            "task": self.trial.task,
            "model": self.trial.model.name,
            "method": self.trial.method,
            "method_config": self.trial.method_config,
            "training": self.trial.training.model_dump(mode="json"),
            "seed": self.trial.seed,
            "engine": self.trial.engine,
            "status": self.status,
            "trainable": parameters.trainable,
            "total": parameters.total,
            "total_peft_counting": parameters.total_peft_counting,
            "steps": self.steps,
            "epochs": self.epochs,
            "num_train_examples": self.num_train_examples,
            "num_eval_examples": self.num_eval_examples,
            "tokens": self.tokens,
            "padding_avoided": 0.0 if ENGINES.get(self.trial.engine).pads else self.padding,
            "estimated_seconds": self.seconds,
        }


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plans of a study's distinct trials, in their order, and remarks on what is not known."""

    study: str
    trials: tuple[TrialPlan, ...]
    remarks: tuple[str, ...]
    retry_failed: bool = False

    @property
    def open_trials(self) -> tuple[TrialPlan, ...]:
        """Those that a run carries out: not the done ones, and failed ones if they are retried."""
        return tuple(plan for plan in self.trials if is_open(plan.status, self.retry_failed))

    @property
    def open_seconds(self) -> float | None:
        """The estimate for the open ones; None if one of them has none."""
        seconds = [plan.seconds for plan in self.open_trials]
        return None if None in seconds else sum(second or 0.0 for second in seconds)


@search_put_off()
def make_plan(
    expanded: Expanded,
    workspace: Workspace,
    *,
    device: str = "auto",
    retry_failed: bool = False,
    only_open: bool = False,
) -> Plan:
    """Return the plan of a study on a device; failed trials are open in it if `retry_failed`.

    With `only_open` it holds those trials alone. Encodes the data where it has not been (into the
    workspace's cache). Raises UserError where a method does not fit the model, and where a split
    has one label alone.
    """
    require_labels(expanded)
    statuses = workspace.statuses(trial.id for trial in expanded.trials)
    planned = [
        trial
        for trial in expanded.trials
        if not only_open or is_open(statuses[trial.id], retry_failed)
    ]
    remarks = [*expanded.unread.values(), *_measured_again(planned, workspace)]
    tokenizer: HubTokenizer | None = None
    try:
        if planned:
            tokenizer = tokenizer_of(expanded.spec.model)
            if expanded.unread:  # nothing of those rows will be encoded, which would read it
                _ = tokenizer.tokenizer
    except UserError as error:
        if not expanded.unread:
            raise
        tokenizer = None
        remarks.append(str(error))
    if planned:
        remarks += [unused_head(expanded), *weights_remarks(expanded)]
    rates = _Rates(workspace.speeds(), device)
    first: dict[tuple[str, tuple[str, ...]], TrialPlan] = {}
    plans = []
    with stage("planning", total=len(planned), unit="trials") as planning:
        for trial in planned:
            arms, status = expanded.arms_of[trial.id], statuses[trial.id]
            place = trial.task, arms
            if place not in first:
                tokens = None
                if tokenizer is not None and trial.task not in expanded.unread:
                    tokens = _tokens(trial, tokenizer, workspace)
                first[place] = _first_plan(
                    trial, arms, status, tokens, expanded.num_examples[trial.task], rates
                )
            plans.append(replace(first[place], trial=trial, status=status))
            planning.advance()
    return Plan(
        study=expanded.spec.name,
        trials=tuple(plans),
        remarks=tuple(dict.fromkeys(remark for remark in remarks if remark)),
        retry_failed=retry_failed,
    )


def _measured_again(trials: Sequence[Trial], workspace: Workspace) -> list[str]:
    """Return what was wrong in results of older versions that these trials replace, in sentences.

    An older result stands under the id that the trial had by the rules of then.
    """
    earlier = {
        correction.what: [
            trial.as_measured_before(correction.rules - 1).id
            for trial in trials
            if correction.mark(trial) is not None
        ]
        for correction in CORRECTIONS
    }
    every = {one for ids in earlier.values() for one in ids}
    statuses = workspace.statuses(every) if every else {}
    done = {what: [one for one in ids if statuses[one] == "done"] for what, ids in earlier.items()}
    return [
        f"{len(found)} {'trial was' if len(found) == 1 else 'trials were'} measured by an older "
        f"version, in which {what}; with the present one they are new trials"
        for what, found in done.items()
        if found
    ]


def _first_plan(
    trial: Trial,
    arms: tuple[str, ...],
    status: Status,
    tokens: _Tokens | None,
    num_examples: tuple[int, int],
    rates: _Rates,
) -> TrialPlan:
    """The plan of an arm's first trial on a task."""
    num_train, num_dev = num_examples
    parameters = _parameters(
        trial.model.name,
        trial.method,
        canonical_json(trial.method_config),
        task_of(trial).num_labels,
    )
    steps = trial.training.total_steps(num_train)
    passes = steps / trial.training.steps_per_epoch(num_train)
    return TrialPlan(
        trial=trial,
        arms=arms,
        status=status,
        parameters=parameters,
        steps=steps,
        epochs=trial.training.total_epochs(num_train),
        num_train_examples=num_train,
        num_eval_examples=num_dev,
        tokens=None if tokens is None else round(tokens.train * passes),
        padding=None if tokens is None else tokens.padding,
        seconds=None if tokens is None else rates.seconds(trial, tokens, passes, parameters),
    )


@dataclass(frozen=True, kw_only=True)
class _Tokens:
    """Of the batches of an epoch, and of an evaluation."""

    train: int
    evaluated: int
    padding: float
    a_step: float


def _tokens(trial: Trial, tokenizer: Tokenizer, workspace: Workspace) -> _Tokens:
    source, task = open_ref(trial.data), task_of(trial)

    def split(name: str, limit: int | None) -> Encoded:
        return encode_split(
            source,
            task,
            name,
            limit,
            tokenizer,
            max_length=trial.max_length,
            cache=workspace.cache,
        )

    train, dev = split("train", trial.max_train_samples), split("dev", trial.max_eval_samples)
    lengths, evaluated = train.lengths, int(dev.lengths.sum())
    if trial.selection is not None:
        chosen = is_held_out(train.labels, trial.selection, seed=trial.seed)
        lengths, evaluated = lengths[~chosen], evaluated + int(lengths[chosen].sum())
    order = epoch_order(len(lengths), seed=trial.seeds.order, epoch=1)
    padded = padded_tokens(lengths, order, trial.training.per_device_train_batch_size)
    real = int(lengths.sum())
    return _Tokens(
        train=real,
        evaluated=evaluated,
        padding=1 - real / padded,
        a_step=real / trial.training.steps_per_epoch(len(lengths)),
    )


@lru_cache(maxsize=256)
def _parameters(model: str, method: str, config: str, num_labels: int) -> ParameterCount:
    return count(model, method, json.loads(config), num_labels=num_labels)


class _Rates:
    """How fast trials run on a device: measured on finished ones, else guessed from its kind."""

    def __init__(self, speeds: Sequence[Speed], device: str) -> None:
        self._device = device
        self._measured: dict[tuple[object, ...], list[float]] = {}
        for speed in speeds:
            kind = (speed.model_fingerprint, speed.method, speed.engine, speed.cache_frozen)
            on = speed.device.partition(":")[0]
            self._measured.setdefault((on, *kind), []).append(speed.tokens_per_second)

    @cached_property
    def _on(self) -> str:
        """The kind of the device: cpu, cuda, ..."""
        if self._device == "cpu" or (self._device == "auto" and not may_have_card()):
            return "cpu"
        from peftlab.engine.prepare import choose_device

        return choose_device(self._device).type

    def seconds(
        self, trial: Trial, tokens: _Tokens, passes: float, parameters: ParameterCount
    ) -> float:
        """Seconds of training and evaluation."""
        evaluations = 1 + trial.training.total_epochs(1)
        measured = self._measured.get((self._on, *_kind(trial)))
        if measured:
            rate = float(np.median(measured))
        elif self._on == "cpu":
            backward = 2.0 if parameters.backbone > parameters.total / 2 else 1.0
            padding = tokens.padding if ENGINES.get(trial.engine).pads else 0.0
            flops = _flops_per_token(trial.model.name) * (1 + backward)
            rate = SHARE_OF_PEAK * self._peak_flops / flops * (1 - padding)
        else:
            num_layers = int(config_facts(trial.model.name).num_hidden_layers)
            rate = tokens.a_step / (num_layers * CARD_SECONDS_PER_LAYER)
        return tokens.train * passes / rate + evaluations * tokens.evaluated / (2 * rate)

    @cached_property
    def _peak_flops(self) -> float:
        return _measured_peak_flops()


def _kind(trial: Trial) -> tuple[object, ...]:
    """What trials of about one speed have in common."""
    return trial.model.fingerprint, trial.method, trial.engine, trial.cache_frozen


@lru_cache
def _flops_per_token(model: str) -> float:
    """Of a forward pass, two for each weight of the encoder (its embeddings are only looked up)."""
    config = config_facts(model)
    hidden = int(config.hidden_size)
    inner = int(getattr(config, "intermediate_size", getattr(config, "hidden_dim", 4 * hidden)))
    return 2.0 * int(config.num_hidden_layers) * (4 * hidden * hidden + 2 * hidden * inner)


def _measured_peak_flops(seconds: float = 0.1) -> float:
    """Return the processor's operations a second of fp32 matrix multiplication, measured now."""
    left, right = np.ones((512, 1024), np.float32), np.ones((1024, 1024), np.float32)
    left @ right
    began, count = perf_counter(), 0
    while perf_counter() - began < seconds:
        left @ right
        count += 1
    return count * 2 * 512 * 1024 * 1024 / (perf_counter() - began)
