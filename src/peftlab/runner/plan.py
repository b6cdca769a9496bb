"""The plan of a study: its work and its costs, trial by trial, before it is run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from pydantic import JsonValue

from peftlab.core.corrections import CORRECTIONS
from peftlab.core.errors import UserError
from peftlab.core.identity import canonical_json
from peftlab.core.measurements import ParameterCount
from peftlab.core.process import search_put_off
from peftlab.core.progress import stage
from peftlab.core.trial import Trial
from peftlab.engine.devices.base import Device
from peftlab.engine.devices.registry import AUTO, resolve
from peftlab.engine.registry import ENGINES
from peftlab.engine.schedule import EvaluationSchedule
from peftlab.methods.counts import parameter_counts
from peftlab.models.checkpoints import tokenizer_of
from peftlab.models.facts import config_facts
from peftlab.models.flops import Operations
from peftlab.models.tokenizer import HubTokenizer
from peftlab.runner.cost import CostModel, Work
from peftlab.runner.groups import TrialGroup, groups_of, why_no_groups
from peftlab.runner.row_lengths import RowLengths, row_lengths
from peftlab.store.records import Status, is_open
from peftlab.store.workspace import Workspace
from peftlab.study.remarks.checkpoint_remarks import unused_head, weights_remarks
from peftlab.study.remarks.precision_remarks import bf16_remark
from peftlab.study.remarks.row_remarks import reading_words, require_labels
from peftlab.study.trials import Expanded
from peftlab.tasks.registry import task_of

MAY_STOP_EARLY = (
    "with early_stopping_patience a trial may end before its last step: its steps, tokens and time "
    "are the most that it can take"
)
NOT_HERE = (
    "times are unknown: the device is not on this machine, and that of a node of the cluster has "
    "not been measured"
)


@dataclass(frozen=True, kw_only=True)
class TrialPlan:
    """The cost of one trial in advance.

    `tokens` are the real tokens of all training batches, `padding` the share that padding each
    batch to its longest example would add to them (of the padded total, in the first epoch of the
    study's first seed), None where the data or the tokenizer are not at hand. `seconds` estimates
    training and evaluation of the trial alone. With early stopping all of this is the most that it
    can be. A trial that shares its steps is in a `group`, numbered from 1, and trains with up to
    `together` at a time; `group_seconds` is its share of the group's time, None where no such group
    was measured.
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
    group: int | None = None
    together: int = 1
    group_seconds: float | None = None
    work: Work | None = field(default=None, repr=False)
    """The computing by which its time is estimated, None where the rows are not at hand."""

    @property
    def expected_seconds(self) -> float | None:
        """The estimate for the trial as it is run: its share of the group's time if that is known,
        else its time alone."""
        return self.seconds if self.group_seconds is None else self.group_seconds

    @property
    def tokens_per_batch(self) -> float | None:
        """The tokens of its batches in the mean."""
        batches = self.steps * self.trial.training.gradient_accumulation_steps
        return None if self.tokens is None else self.tokens / batches

    def to_json(self) -> dict[str, JsonValue]:
        """Return the object of `run STUDY --dry-run --json`."""
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
            "estimated_seconds": self.expected_seconds,
            "group": self.group,
            "together": self.together,
            "fold": self.trial.fold.number if self.trial.fold else None,
            "folds": self.trial.fold.of if self.trial.fold else None,
            "train_size": self.trial.train_size,
        }


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plans of a study's distinct trials, in their order, and remarks on what is not known."""

    study: str
    trials: tuple[TrialPlan, ...]
    remarks: tuple[str, ...]
    of_rows: tuple[str, ...] = ()
    """The ways in which rows were read, where they were found out, and the rows left out."""
    retry_failed: bool = False
    groups: tuple[TrialGroup, ...] = ()
    """The groups of open trials that share steps; the others train alone."""

    @property
    def open_trials(self) -> tuple[TrialPlan, ...]:
        """The plans that a run carries out: none that is done, failed ones if they are retried."""
        return tuple(plan for plan in self.trials if is_open(plan.status, self.retry_failed))

    @property
    def may_stop_early(self) -> bool:
        """Whether a run may take less time than is planned, as an open trial may stop early."""
        return any(plan.trial.training.early_stopping_patience for plan in self.open_trials)

    @property
    def open_seconds(self) -> float | None:
        """The estimate for the open trials as they are run; None if one of them has none."""
        return _sum(plan.expected_seconds for plan in self.open_trials)

    @property
    def saved_seconds(self) -> float | None:
        """The time that groups save; None where none was measured on the device."""
        of_groups = [plan for plan in self.open_trials if plan.group is not None]
        alone = _sum(plan.seconds for plan in of_groups)
        shared = _sum(plan.group_seconds for plan in of_groups)
        return None if alone is None or shared is None else alone - shared


@search_put_off()
def make_plan(
    expanded: Expanded,
    workspace: Workspace,
    *,
    device: Device | str | None = AUTO,
    threads: int | None = None,
    retry_failed: bool = False,
    only_open: bool = False,
) -> Plan:
    """Return the plan of a study on a device; failed trials are open in it if `retry_failed`.

    The device is the one that is preferred here unless it is given; where it is None, because only
    nodes of a cluster have it, times are unknown. `threads` are those of a trial on a processor, as
    many as PyTorch takes unless they are given. With `only_open` the plan holds
    the open trials alone. Encodes the data where it has not been (into the workspace's cache).
    Raises UserError where a method does not fit the model, and where a split has one label alone.
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
    found = resolve(device) if isinstance(device, str) else device
    costs = None
    if found is not None:
        costs = CostModel(workspace.speeds(), found, threads=threads)
        if planned:
            remarks += [*found.remarks(), *filter(None, [bf16_remark(planned, found)])]
    first: dict[tuple[str, int | None, tuple[str, ...]], TrialPlan] = {}
    plans = []
    with stage("planning", total=len(planned), unit="trials") as planning:
        for trial in planned:
            arms, status = expanded.arms_of[trial.id], statuses[trial.id]
            cell = trial.task, trial.train_size, arms
            if cell not in first:
                lengths = None
                if tokenizer is not None and trial.task not in expanded.unread:
                    lengths = row_lengths(trial, tokenizer, workspace)
                first[cell] = _first_plan(
                    trial, arms, status, lengths, expanded.num_examples_of(trial), costs
                )
            plans.append(replace(first[cell], trial=trial, status=status))
            planning.advance()
    of_open = {plan.trial.id: plan for plan in plans if is_open(plan.status, retry_failed)}
    open_trials = [plan.trial for plan in of_open.values()]
    groups = groups_of(
        open_trials,
        group=expanded.spec.group,
        device=found,
        tokens_of=lambda trial: of_open[trial.id].tokens_per_batch,
    )
    if expanded.spec.group not in ("auto", "off", 1) and len(open_trials) > 1 and not groups:
        given = f"group: {expanded.spec.group}"
        remarks.append(f"{given} has no effect here: {why_no_groups(open_trials)}")
    remarks += [NOT_HERE] if costs is None and planned else []
    remarks += [] if costs is None else costs.remarks
    if any(plan.trial.training.early_stopping_patience for plan in plans):
        remarks.append(MAY_STOP_EARLY)
    return Plan(
        study=expanded.spec.name,
        trials=tuple(_in_groups(plans, groups, costs)),
        groups=groups,
        remarks=tuple(dict.fromkeys(remark for remark in remarks if remark)),
        of_rows=tuple(reading_words(expanded)) if planned else (),
        retry_failed=retry_failed,
    )


def _measured_again(trials: Sequence[Trial], workspace: Workspace) -> list[str]:
    """Return sentences on faults in results of older versions that these trials replace.

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
    lengths: RowLengths | None,
    num_examples: tuple[int, int],
    costs: CostModel | None,
) -> TrialPlan:
    """Return the plan of an arm's first trial on a task with so many rows."""
    num_train, num_dev = num_examples
    parameters = _parameters(
        trial.model.name,
        trial.method,
        canonical_json(trial.method_config),
        task_of(trial).num_labels,
    )
    steps = trial.training.total_steps(num_train)
    epochs = trial.training.total_epochs(num_train)
    work = None
    if lengths is not None:
        work = Work(
            operations=Operations.of_config(config_facts(trial.model.name), parameters),
            passes=steps / trial.training.steps_per_epoch(num_train),
            steps=steps,
            train_lengths=lengths.train,
            eval_lengths=lengths.evaluated,
            evaluations=EvaluationSchedule.of(trial, num_train).num_evaluations,
            padding=lengths.padding,
        )
    return TrialPlan(
        trial=trial,
        arms=arms,
        status=status,
        parameters=parameters,
        steps=steps,
        epochs=epochs,
        num_train_examples=num_train,
        num_eval_examples=num_dev,
        tokens=None if work is None else round(work.train_tokens),
        padding=None if work is None else work.padding,
        seconds=None if work is None or costs is None else costs.estimate(trial, work).seconds,
        work=work,
    )


def _in_groups(
    plans: Sequence[TrialPlan], groups: Sequence[TrialGroup], costs: CostModel | None
) -> Iterator[TrialPlan]:
    """Yield the plans, those of a group's members with its number and its time if it is known."""
    place_of = {
        trial.id: (number, group.together)
        for number, group in enumerate(groups, 1)
        for trial in group.trials
    }
    for plan in plans:
        if plan.trial.id not in place_of:
            yield plan
            continue
        number, together = place_of[plan.trial.id]
        seconds = None
        if costs is not None and plan.work is not None:
            seconds = costs.group_seconds(plan.trial, plan.work, together)
        yield replace(plan, group=number, together=together, group_seconds=seconds)


def _sum(seconds: Iterable[float | None]) -> float | None:
    """Return the sum of the values; None if one of them is unknown."""
    known = [*seconds]
    return None if None in known else sum(one or 0.0 for one in known)


@lru_cache(maxsize=256)
def _parameters(model: str, method: str, config: str, num_labels: int) -> ParameterCount:
    return parameter_counts(model, method, json.loads(config), num_labels=num_labels)
