"""A study's arms and trials: every combination resolved, each distinct trial once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue, ValidationError

from peftlab.core.errors import UnknownNameError, UserError
from peftlab.core.garbage import search_put_off
from peftlab.core.progress import stage
from peftlab.core.types import Head, Seeds, TrainingSettings, Trial
from peftlab.engine.registry import CACHING_ENGINES
from peftlab.methods.base import Method
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import load_config, rows_of_head
from peftlab.models.location import locate
from peftlab.study.parts import Advice, Parameters, Sweep
from peftlab.study.positions import check_max_length
from peftlab.study.spec import TRAINING_NAMES, ArmSpec, Claim, ReportPart, StudySpec
from peftlab.study.task_rows import Rows, TaskRows, read_rows
from peftlab.study.trackers import require_trackers
from peftlab.tasks.registry import TASKS

MOST_ARMS, MOST_TRIALS = 1000, 1_000_000


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One line of the comparison, resolved but for the task.

    `base` is its name in the study file, `swept` what a sweep set in it. `training` holds its
    settings by task.
    """

    name: str
    base: str
    method: str
    method_config: Mapping[str, JsonValue]
    swept: Mapping[str, JsonValue]
    training: Mapping[str, TrainingSettings]
    seeds: tuple[int, ...]
    cache_frozen: bool = False
    head: Head = "fresh"
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Expanded:
    """A study with its arms and its distinct trials, in the order in which they are run.

    `arms_of` says under which arms each trial id stands. `num_examples` are a task's rows to train
    on and in dev, after max_train_samples, max_eval_samples and what is held out, or by their
    published number where the data could not be read: `unread` then says why, by task, and the
    trials' ids are provisional. `rows` are those of the tasks that could be read.
    """

    spec: StudySpec
    arms: tuple[Arm, ...]
    trials: tuple[Trial, ...]
    arms_of: Mapping[str, tuple[str, ...]]
    num_examples: Mapping[str, tuple[int, int]]
    unread: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, TaskRows] = field(default_factory=dict)


@search_put_off()
def expand(spec: StudySpec, *, data_needed: bool = True) -> Expanded:
    """The study's arms and trials: for each seed (an arm's first, second, ...) and task, all arms.

    Raises UserError for an unknown task, method, setting or arm, for a max_length beyond the
    checkpoint's positions, for a head to keep that is not for a task's labels, for a tracker that
    is not here, and for data that cannot be read; with `data_needed` False the last is noted in
    `unread` instead.
    """
    where = spec.name
    arms = expand_arms(spec)
    require_trackers(spec.track, where=f"{where}: track")
    locate(spec.model, where=f"{where}: model")
    virtual = (METHODS.get(arm.method).num_virtual_tokens(arm.method_config) for arm in arms)
    check_max_length(
        spec.model, spec.max_length, max(virtual, default=0), where=f"{where}: max_length"
    )
    model = locate(spec.model)  # the Hub's cache has its config by now, which tells of a head
    rows = {task: read_rows(spec, task, data_needed=data_needed) for task in spec.tasks}
    _check_heads(spec, arms, rows)
    trials: dict[str, Trial] = {}
    arms_of: dict[str, tuple[str, ...]] = {}
    first = spec.seeds[0]
    of_first = [
        (
            arm,
            Trial(
                task=task,
                data=rows[task].ref,
                model=model,
                method=arm.method,
                method_config=dict(arm.method_config),
                training=arm.training[task],
                seed=first,
                seeds=_seeds(spec, first),
                max_train_samples=rows[task].max_train_samples,
                max_eval_samples=rows[task].max_eval_samples,
                max_length=spec.max_length,
                engine=spec.engine,
                cache_frozen=arm.cache_frozen,
                selection=spec.selection,
                definition=rows[task].definition,
                head=arm.head,
            ),
        )
        for task, arm in itertools.product(spec.tasks, arms)
    ]
    seeds_of = {seed: _seeds(spec, seed) for arm in arms for seed in arm.seeds}
    num_trials = sum(len(arm.seeds) for arm, _ in of_first)
    with stage("making the trials", total=num_trials, unit="trials") as making:
        for number in range(max(len(arm.seeds) for arm in arms)):
            for arm, of_first_seed in of_first:
                for seed in arm.seeds[number : number + 1]:
                    trial = of_first_seed.with_seeds(seed, seeds_of[seed])
                    trials.setdefault(trial.id, trial)
                    arms_of[trial.id] = (*arms_of.get(trial.id, ()), arm.name)
                    making.advance()
    return Expanded(
        spec=spec,
        arms=arms,
        trials=tuple(trials.values()),
        arms_of=arms_of,
        num_examples={task: (row.num_train, row.num_dev) for task, row in rows.items()},
        unread={task: row.unread for task, row in rows.items() if row.unread},
        rows={task: row.seen for task, row in rows.items() if row.seen is not None},
    )


def _check_heads(spec: StudySpec, arms: tuple[Arm, ...], rows: Mapping[str, Rows]) -> None:
    """UserError where an arm keeps a head that the checkpoint lacks, or one for other labels.

    Nothing is checked where its config cannot be read: a dry run goes on without the Hub.
    """
    keeping = [arm for arm in arms if arm.head == "keep"]
    try:
        if keeping:
            load_config(spec.model)
    except UserError:
        return
    for arm in keeping:
        own = spec.arms[arm.base].head is not None
        where = f"{spec.name}: {f'arms.{arm.base}.' if own else ''}head"
        for task, row in rows.items():
            labels = TASKS.get(task).labels if row.definition is None else row.definition.labels
            rows_of_head(spec.model, labels, where=where, task=task)


def _seeds(spec: StudySpec, seed: int) -> Seeds:
    return Seeds.of(seed).model_copy(update=spec.fixed_seeds.model_dump(exclude_none=True))


def expand_arms(spec: StudySpec, *, resolve: bool = True) -> tuple[Arm, ...]:
    """The arms, sweeps spread out, in the study's order; those of `only_arms` where it is set.

    With `resolve` False an arm's method_config holds the given settings alone, unchecked, which
    spares the import of peft. Raises UserError for what is wrong with any of them, also with one
    that is not chosen, and for claims or report parts that name an arm or a sweep that does not
    exist.
    """
    for number, task in enumerate(spec.tasks):
        spec.require_task(task, where=f"{spec.name}: tasks[{number}]")
    num_arms = sum(math.prod(map(len, arm.sweep.values())) for arm in spec.arms.values())
    if num_arms > MOST_ARMS:
        raise UserError(
            f"the sweeps make {num_arms:,} arms", where=f"{spec.name}: arms",
            allowed=f"at most {MOST_ARMS:,}",
        )  # fmt: skip
    most_seeds = max(len(arm.seeds or spec.seeds) for arm in spec.arms.values())
    num_trials = num_arms * len(spec.tasks) * most_seeds
    if num_trials > MOST_TRIALS:
        raise UserError(
            f"arms, tasks and seeds make {num_trials:,} trials", where=spec.name,
            allowed=f"at most {MOST_TRIALS:,}",
        )  # fmt: skip
    arms: list[Arm] = []
    for name, arm in spec.arms.items():
        arms += _spread(spec, name, arm, resolve=resolve)
    names = [arm.name for arm in arms]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two arms are named '{name}'", where=f"{spec.name}: arms")
    for number, claim in enumerate(spec.claims):
        _check_claim(spec, claim, arms, where=f"{spec.name}: claims[{number}]")
    for number, part in enumerate(spec.report):
        _check_part(part, arms, where=f"{spec.name}: report[{number}].{part.kind}")
    if spec.only_arms is not None:
        return select_arms(arms, spec.only_arms, where=f"{spec.name}: only_arms")
    return tuple(arms)


def select_arms(
    arms: tuple[Arm, ...] | list[Arm], names: tuple[str, ...] | list[str], *, where: str
) -> tuple[Arm, ...]:
    """The arms of those names, in their own order; a name before the sweep means all of it."""
    known = {arm.name for arm in arms} | {arm.base for arm in arms}
    for name in names:
        if name not in known:
            raise UnknownNameError("arm", name, known, where=where)
    return tuple(arm for arm in arms if arm.name in names or arm.base in names)


def _check_claim(spec: StudySpec, claim: Claim, arms: list[Arm], *, where: str) -> None:
    """UserError where a claim names an unknown arm or task, or one arm twice by a sweep's name."""
    seen: set[str] = set()
    for name in claim.arms:
        chosen = {arm.name for arm in select_arms(arms, [name], where=where)}
        for twice in sorted(chosen & seen):
            raise UserError(f"the arm '{twice}' is compared with itself", where=where)
        seen |= chosen
    if len(seen) < 2:
        raise UserError(
            f"'{claim.arms[0]}' is one arm, and is compared with nothing",
            where=f"{where}.equivalent",
            allowed="two arms or more, or the name of a sweep",
        )
    for task in claim.tasks or ():
        spec.require_task(task, where=f"{where}.tasks")


def _check_part(part: ReportPart, arms: list[Arm], *, where: str) -> None:
    """UserError where a report part names an arm or a sweep that does not exist."""
    wanted = getattr(part.options, "arms", None) or ()
    chosen = select_arms(
        arms, [wanted] if isinstance(wanted, str) else list(wanted), where=f"{where}.arms"
    )
    if isinstance(part.options, Sweep):
        swept = {key for arm in chosen for key in arm.swept}
        if part.options.of not in swept:
            raise UserError(
                f"the arm '{wanted}' does not sweep '{part.options.of}'",
                where=f"{where}.of",
                allowed=", ".join(sorted(swept)) or "a setting that the arm sweeps",
            )
    names = [arm.name for arm in arms]
    if isinstance(part.options, Advice) and part.options.reference not in (None, *names):
        raise UnknownNameError(
            "arm", str(part.options.reference), names, where=f"{where}.reference"
        )
    if isinstance(part.options, Parameters):
        for name in part.options.reported:
            if name not in names:
                raise UnknownNameError("arm", name, names, where=f"{where}.reported")


def _spread(spec: StudySpec, name: str, arm: ArmSpec, *, resolve: bool) -> list[Arm]:
    where = f"{spec.name}: arms.{name}"
    method = METHODS.get(arm.method, where=f"{where}.method")
    for key in arm.sweep:
        if key in arm.settings or key in arm.training:
            raise UserError(f"'{key}' is both set and swept", where=where)
    if resolve:
        known = [*ArmSpec.model_fields, *method.settings()]
        for key in arm.settings:
            if key not in known:
                raise UnknownNameError(
                    f"setting of the method {arm.method}", key, known, where=where
                )
    spread = []
    for values in itertools.product(*arm.sweep.values()):
        swept = dict(zip(arm.sweep, values, strict=True))
        settings = arm.settings | {k: v for k, v in swept.items() if k not in TRAINING_NAMES}
        training = arm.training | {k: v for k, v in swept.items() if k in TRAINING_NAMES}
        full_name = "-".join([name, *(f"{key}{_short(value)}" for key, value in swept.items())])
        spread.append(
            Arm(
                name=full_name,
                base=name,
                method=arm.method,
                method_config=method.resolve(settings, where=where) if resolve else settings,
                swept=swept,
                training={
                    task: _training(spec, training, task, f"{where}.training", method)
                    for task in spec.tasks
                },
                seeds=arm.seeds or spec.seeds,
                cache_frozen=_caches_frozen(spec, name, arm),
                head=arm.head or spec.head,
                note=arm.note,
            )
        )
    return spread


def _caches_frozen(spec: StudySpec, name: str, arm: ArmSpec) -> bool:
    """The arm's own `cache_frozen` or else the study's; UserError where the engine cannot."""
    is_own = arm.cache_frozen is not None
    caches = arm.cache_frozen if arm.cache_frozen is not None else spec.cache_frozen
    if caches and spec.engine not in CACHING_ENGINES:
        raise UserError(
            f"the engine {spec.engine} cannot cache the outputs of frozen layers",
            where=f"{spec.name}: {f'arms.{name}.' if is_own else ''}cache_frozen",
            allowed=f"true with engine: {', '.join(CACHING_ENGINES)}; false with any",
        )
    return caches


def _training(
    spec: StudySpec, own: Mapping[str, JsonValue], task: str, where: str, method: Method
) -> TrainingSettings:
    """The training settings of an arm on a task: its own over the study's.

    Where neither has a learning rate, it is the method's own.
    """
    rate = method.learning_rate
    values: dict[str, Any] = {} if rate is None else {"learning_rate": rate}
    for place, given in ((f"{spec.name}: training", spec.training), (where, own)):
        for key, value in given.items():
            if key not in TRAINING_NAMES:
                raise UnknownNameError("training setting", key, TRAINING_NAMES, where=place)
            if _holds(
                spec, value, task, f"{place}.{key}", overridden=place != where and key in own
            ):
                values[key] = value[task] if isinstance(value, dict) else value
    try:
        return TrainingSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        place = where if key in own else f"{spec.name}: training"
        message = first["msg"].removeprefix("Value error, ")
        message = message[0].lower() + message[1:]
        given = first["input"]
        shown = repr(given[:60]) if isinstance(given, str) else repr(given)[:60]
        raise UserError(f"{message} (it is {shown})", where=f"{place}.{key}") from error


def _holds(spec: StudySpec, value: JsonValue, task: str, where: str, *, overridden: bool) -> bool:
    """Whether a training value holds for the task; it need not where an arm has its own."""
    by_task = value if isinstance(value, dict) else {task: value}
    for name, one in by_task.items():
        spec.require_task(name, where=where)
        if one is None:
            place = f"{where}.{name}" if isinstance(value, dict) else where
            raise UserError("null is no value", where=place, allowed="a value, or no such key")
    if task not in by_task and not overridden:
        raise UserError(f"no value for the task '{task}'", where=where, allowed=", ".join(by_task))
    return task in by_task


def _short(value: JsonValue) -> str:
    """A swept value as it stands in an arm's name.

    >>> _short(5e-4), _short(8), _short(["query", "key"])
    ('0.0005', '8', 'query+key')
    """
    if isinstance(value, list):
        return "+".join(_short(item) for item in value)
    if isinstance(value, float):
        return f"{value:g}"
    return "".join(c if c.isalnum() or c in "._-+" else "_" for c in str(value))
