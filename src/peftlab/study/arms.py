"""The arms of a study: one line of the comparison each, sweeps spread out, settings resolved."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import JsonValue, ValidationError

from peftlab.core.errors import UnknownNameError, UserError
from peftlab.core.inputs import Head
from peftlab.core.training import TrainingSettings, is_by_task
from peftlab.core.validation import complaint_of
from peftlab.engine.registry import ENGINES
from peftlab.methods.base import Method
from peftlab.methods.registry import METHODS
from peftlab.study.refused_arguments import unknown_setting
from peftlab.study.spec import TRAINING_NAMES, ArmSpec, StudySpec, misplaced_setting

OFF_BY_NULL = frozenset(
    name for name, field in TrainingSettings.model_fields.items() if field.default is None
)
"""The training settings of a study that null turns off in an arm."""
MOST_ARMS, MOST_TRIALS = 1000, 1_000_000


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One line of the comparison, resolved for each of the study's tasks.

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


def expand_arms(spec: StudySpec, *, resolve: bool = True) -> tuple[Arm, ...]:
    """Return the arms that the study compares, in the form of `every_arm`.

    Raises UserError for what is wrong with any arm, also with one that is not chosen.
    """
    return chosen_arms(spec, every_arm(spec, resolve=resolve))


def every_arm(spec: StudySpec, *, resolve: bool = True) -> tuple[Arm, ...]:
    """Return all arms of the study in its order, sweeps spread out.

    With `resolve` False an arm's method_config holds the given settings alone, unchecked, which
    spares the import of peft. Raises UserError for an unknown task, and for arms that are wrong,
    too many, or named twice.
    """
    for number, task in enumerate(spec.tasks):
        spec.require_task(task, where=f"{spec.name}: tasks[{number}]")
    _check_size(spec)
    arms = tuple(
        one for name, arm in spec.arms.items() for one in _spread(spec, name, arm, resolve=resolve)
    )
    names: set[str] = set()
    for arm in arms:
        if arm.name in names:
            raise UserError(f"two arms are named '{arm.name}'", where=f"{spec.name}: arms")
        names.add(arm.name)
    return arms


def chosen_arms(spec: StudySpec, arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
    """Return the study's arms that `only_arms` names, or all if it is not set."""
    if spec.only_arms is None:
        return arms
    return select_arms(arms, spec.only_arms, where=f"{spec.name}: only_arms (--arms)")


def select_arms(arms: Sequence[Arm], names: Sequence[str], *, where: str) -> tuple[Arm, ...]:
    """Return the arms of those names, in their own order; a sweep's name means all its arms."""
    known = {arm.name for arm in arms} | {arm.base for arm in arms}
    for name in names:
        if name not in known:
            raise UnknownNameError("arm", name, known, where=where)
    return tuple(arm for arm in arms if arm.name in names or arm.base in names)


def _check_size(spec: StudySpec) -> None:
    """Raise UserError if there are more arms or trials than the limits allow."""
    num_arms = sum(math.prod(map(len, arm.sweep.values())) for arm in spec.arms.values())
    if num_arms > MOST_ARMS:
        raise UserError(
            f"the sweeps make {num_arms:,} arms", where=f"{spec.name}: arms",
            allowed=f"at most {MOST_ARMS:,}",
        )  # fmt: skip
    most_seeds = max(len(arm.seeds or spec.seeds) for arm in spec.arms.values())
    num_runs = (spec.folds or 1) * len(spec.train_sizes or "1") * most_seeds
    num_trials = num_arms * len(spec.tasks) * num_runs
    if num_trials > MOST_TRIALS:
        raise UserError(
            f"arms, tasks and seeds make {num_trials:,} trials", where=spec.name,
            allowed=f"at most {MOST_TRIALS:,}",
        )  # fmt: skip


def _spread(spec: StudySpec, name: str, arm: ArmSpec, *, resolve: bool) -> list[Arm]:
    where = f"{spec.name}: arms.{name}"
    method = METHODS.get(arm.method, where=f"{where}.method")
    for key in arm.sweep:
        if key in arm.settings or key in arm.training:
            raise UserError(f"'{key}' is both set and swept", where=where)
    if resolve:
        known = [*ArmSpec.model_fields, *method.settings()]
        for key in arm.settings:
            if key in TRAINING_NAMES and key not in known:
                raise misplaced_setting(key, where=where, remedy=f"arms.{name}.training.{key}")
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
    """Return the arm's own `cache_frozen`, or the study's; raise UserError if the engine cannot."""
    is_own = arm.cache_frozen is not None
    caches = arm.cache_frozen if arm.cache_frozen is not None else spec.cache_frozen
    if caches and not ENGINES.get(spec.engine).caches_frozen:
        able = [engine for engine in ENGINES.names() if ENGINES.get(engine).caches_frozen]
        raise UserError(
            f"the engine {spec.engine} cannot cache the outputs of frozen layers",
            where=f"{spec.name}: {f'arms.{name}.' if is_own else ''}cache_frozen",
            allowed=f"true with engine: {', '.join(able)}; false with any",
        )
    return caches


def _training(
    spec: StudySpec, own: Mapping[str, JsonValue], task: str, where: str, method: Method
) -> TrainingSettings:
    """Return the training settings of an arm on a task: its own over the study's.

    If neither has a learning rate, the method's own is used.
    """
    rate = method.learning_rate
    values: dict[str, Any] = {} if rate is None else {"learning_rate": rate}
    for location, given in ((f"{spec.name}: training", spec.training), (where, own)):
        for key, value in given.items():
            if key not in TRAINING_NAMES:
                raise unknown_setting(key, where=location)
            if _holds(
                spec,
                key,
                value,
                task,
                f"{location}.{key}",
                overridden=location != where and key in own,
            ):
                values[key] = cast(Any, value)[task] if is_by_task(key, value) else value
    try:
        return TrainingSettings.model_validate(values)
    except ValidationError as error:
        complaint = complaint_of(error)
        key = str(complaint.path[0])
        location = where if key in own else f"{spec.name}: training"
        raise complaint.refusal(where=f"{location}.{key}") from error


def _holds(
    spec: StudySpec, key: str, value: JsonValue, task: str, where: str, *, overridden: bool
) -> bool:
    """Return whether a training value holds for the task; it need not if the arm has its own."""
    is_mapping = is_by_task(key, value)
    by_task = cast(dict[str, JsonValue], value) if is_mapping else {task: value}
    for name, one in by_task.items():
        spec.require_task(name, where=where)
        if one is None and key not in OFF_BY_NULL:
            location = f"{where}.{name}" if is_mapping else where
            raise UserError(
                "null is not allowed here", where=location, allowed="a value, or no such key"
            )
    if task not in by_task and not overridden:
        raise UserError(f"no value for the task '{task}'", where=where, allowed=", ".join(by_task))
    return task in by_task


def _short(value: JsonValue) -> str:
    """Return a swept value in the form that an arm's name has.

    >>> _short(5e-4), _short(8), _short(["query", "key"])
    ('0.0005', '8', 'query+key')
    """
    if isinstance(value, list):
        return "+".join(_short(item) for item in value)
    if isinstance(value, float):
        return f"{value:g}"
    return "".join(c if c.isalnum() or c in "._-+" else "_" for c in str(value))
