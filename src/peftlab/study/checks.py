"""Checks of a study against what exists: arms, claims, heads, positions, trackers."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from statistics import fmean
from typing import Any

from peftlab.core.errors import UnknownNameError, UserError
from peftlab.models.checkpoints import load_config, rows_of_head
from peftlab.models.facts import config_facts
from peftlab.models.families import family_of
from peftlab.study.arms import Arm, select_arms
from peftlab.study.parts import AdvicePart, ParametersPart, SweepPart
from peftlab.study.spec import Claim, ReportPart, StudySpec
from peftlab.study.task_rows import TrialRows
from peftlab.tasks.class_weights import check_class_weights, check_label_smoothing
from peftlab.tasks.metrics.registry import METRICS
from peftlab.tasks.registry import TASKS, own_task
from peftlab.tasks.spec import Task


def check_arm_names(spec: StudySpec, arms: Sequence[Arm]) -> None:
    """Raise UserError if claims or report parts name an arm or a sweep that does not exist.

    `arms` are all of the study's.
    """
    for number, claim in enumerate(spec.claims):
        _check_claim(spec, claim, arms, where=f"{spec.name}: claims[{number}]")
    for number, part in enumerate(spec.report):
        _check_part(part, arms, where=f"{spec.name}: report[{number}].{part.kind}")


def check_heads(spec: StudySpec, arms: Sequence[Arm], rows: Mapping[str, TrialRows]) -> None:
    """Raise UserError if an arm keeps a head that the checkpoint lacks, or one of other labels.

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


def check_losses(spec: StudySpec, arms: Sequence[Arm], rows: Mapping[str, TrialRows]) -> None:
    """Raise UserError if an arm weighs classes, or smooths labels, that a task does not have."""
    for arm in arms:
        own = {*spec.arms[arm.base].training, *arm.swept}
        locations = {
            key: _place(spec, arm, own, key) for key in ("class_weights", "label_smoothing_factor")
        }
        for name, row in rows.items():
            task = _task_of(name, row)
            training = arm.training[name]
            check_class_weights(training.class_weights, task, where=locations["class_weights"])
            check_label_smoothing(
                training.label_smoothing_factor, task, where=locations["label_smoothing_factor"]
            )


def check_claims(spec: StudySpec, arms: Sequence[Arm], rows: Mapping[str, TrialRows]) -> None:
    """Raise UserError if a claim is made twice, or no difference can exceed its margin.

    In a study that was stored they stay as they are: its page can be made. Claims are compared as
    the file has them, whatever tasks the command leaves out.
    """
    ranges = {}
    for name, row in rows.items():
        task = _task_of(name, row)
        metric = METRICS.get(task.main_metric)
        ranges[name] = metric.highest_score - metric.lowest_score
    subjects: list[tuple[object, ...]] = []
    for number, claim in enumerate(spec.claims):
        where = f"{spec.name}: claims[{number}]"
        own = claim.tasks or spec.tasks
        _check_margin(claim.margin, [ranges[task] for task in own if task in ranges], where=where)
        sides = [tuple(arm.name for arm in select_arms(arms, [one], where=where))
                 for one in claim.arms]  # fmt: skip
        together = tuple(sorted(name for side in sides for name in side))
        ordered = [together] if claim.equivalent else sides
        tasks = None if claim.tasks is None else tuple(sorted(claim.tasks))
        subject = (*ordered, claim.margin, tasks)
        if subject in subjects:
            raise UserError(
                f"this claim says the same as claims[{subjects.index(subject)}]",
                where=where,
                allowed="each claim once: all of them share the level of 5%",
            )
        subjects.append(subject)
    for number, part in enumerate(spec.report):
        if isinstance(part.options, AdvicePart):
            where = f"{spec.name}: report[{number}].{part.kind}"
            _check_margin(part.options.margin, list(ranges.values()), where=where)


def check_evaluations(spec: StudySpec, arms: Sequence[Arm]) -> None:
    """Raise UserError if early stopping, or evaluation within epochs, lacks held-out rows.

    Both compare states of a training, for which dev must not be used. Raises it also where
    eval_steps are given and nothing says that they count.
    """
    for arm in arms:
        own = {*spec.arms[arm.base].training, *arm.swept}
        given = {*spec.training, *own}
        if "eval_steps" in given and "eval_strategy" not in given:
            raise UserError(
                "eval_steps has no effect while evaluations are at the ends of epochs",
                where=_place(spec, arm, own, "eval_steps"),
                allowed="with eval_strategy: steps",
            )
        for training in arm.training.values():
            key = "eval_steps" if training.eval_strategy == "steps" else "early_stopping_patience"
            if spec.selection is None and getattr(training, key) is not None:
                raise UserError(
                    f"{'eval_steps' if key == 'eval_steps' else 'early stopping'} needs held-out "
                    "rows, since dev is for the report alone",
                    where=_place(spec, arm, own, key),
                    remedy="selection: {split: train, fraction: 0.1}",
                )


def _task_of(name: str, rows: TrialRows) -> Task:
    """Return the task of that name: of the rows' own definition, or a known one."""
    return TASKS.get(name) if rows.definition is None else own_task(name, rows.definition)


def _place(spec: StudySpec, arm: Arm, own: Collection[str], key: str) -> str:
    """Return the place of an arm's training setting in the study."""
    return f"{spec.name}: {f'arms.{arm.base}.' if key in own else ''}training.{key}"


def check_max_length(model: str, max_length: int, virtual: int = 0, *, where: str) -> None:
    """Raise UserError if the checkpoint lacks positions for `max_length` and `virtual` tokens.

    Nothing is checked if its config cannot be read: a dry run goes on without the Hub.
    """
    try:
        allowed = num_positions(model)
    except UserError:
        return
    if allowed is not None and max_length + virtual > allowed:
        further = f" and {virtual} virtual ones" if virtual else ""
        raise UserError(
            f"{max_length} tokens{further} exceed the positions of '{model}'",
            where=where,
            allowed=f"1 to {allowed - virtual}",
        )


def require_trackers(names: Sequence[str], *, where: str) -> None:
    """Raise UserError if accelerate does not know a tracker, or its package is not installed.

    accelerate is asked, and imported, only if there are names.
    """
    if not names:
        return
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
    from accelerate.utils import LoggerType

    here = [str(tracker) for tracker in get_available_trackers()]
    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            raise UnknownNameError("tracker", name, LOGGER_TYPE_TO_CLASS, where=where)
        # A class that somebody has registered with accelerate needs no package that it knows of.
        if name in LoggerType.list() and name not in here:
            installed = ", ".join(here) or "none"
            raise UserError(
                f"the tracker {name} needs a package that is not installed",
                where=where,
                remedy=f"pip install {name}, or 'peftlab[track]' for tensorboard and mlflow; "
                f"installed: {installed}",
            )


def num_positions(model: str) -> int | None:
    """Return the longest row that the checkpoint takes, with special tokens; None: any length.

    Raises UserError where the name leads to no config.

    >>> num_positions("minilm"), num_positions("FacebookAI/roberta-base")
    (512, 512)
    >>> num_positions("microsoft/deberta-v3-base") is None
    True
    """
    config: Any = config_facts(model)
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None or positions < 1:
        return None
    if not getattr(config, "position_biased_input", True):
        return None  # DeBERTa's way: the distance of two tokens alone counts, and has no end
    return int(positions) - family_of(config.model_type).first_position(config)


def _check_claim(spec: StudySpec, claim: Claim, arms: Sequence[Arm], *, where: str) -> None:
    """Raise UserError if a claim names an unknown arm or task, or compares an arm with itself."""
    seen: set[str] = set()
    for name in claim.arms:
        chosen = {arm.name for arm in select_arms(arms, [name], where=where)}
        for twice in sorted(chosen & seen):
            raise UserError(f"the arm '{twice}' is compared with itself", where=where)
        seen |= chosen
    if len(seen) < 2:
        raise UserError(
            f"the claim names one arm only, '{claim.arms[0]}'",
            where=f"{where}.equivalent",
            allowed="two arms or more, or the name of a sweep",
        )
    for task in claim.tasks or ():
        spec.require_task(task, where=f"{where}.tasks")


def _check_margin(margin: float | None, ranges: Sequence[float], *, where: str) -> None:
    """Raise UserError for a margin as large as the mean of the metrics' ranges, or larger."""
    most = fmean(ranges or [math.inf])
    if margin is not None and margin >= most:
        raise UserError(
            f"no two scores differ by more than {most:g} points, so a margin of {margin:g} says "
            "nothing",
            where=f"{where}.margin",
            allowed=f"above 0 and below {most:g}",
        )


def _check_part(part: ReportPart, arms: Sequence[Arm], *, where: str) -> None:
    """Raise UserError if a report part names an arm or a sweep that does not exist."""
    wanted = getattr(part.options, "arms", None) or ()
    chosen = select_arms(
        arms, [wanted] if isinstance(wanted, str) else list(wanted), where=f"{where}.arms"
    )
    if isinstance(part.options, SweepPart):
        swept = {key for arm in chosen for key in arm.swept}
        if part.options.of not in swept:
            raise UserError(
                f"the arm '{wanted}' does not sweep '{part.options.of}'",
                where=f"{where}.of",
                allowed=", ".join(sorted(swept)) or "a setting that the arm sweeps",
            )
    names = [arm.name for arm in arms]
    if isinstance(part.options, AdvicePart) and part.options.reference not in (None, *names):
        raise UnknownNameError(
            "arm", str(part.options.reference), names, where=f"{where}.reference"
        )
    if isinstance(part.options, ParametersPart):
        for name in part.options.reported:
            if name not in names:
                raise UnknownNameError("arm", name, names, where=f"{where}.reported")
