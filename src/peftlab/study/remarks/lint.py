"""The remarks that an expert would make on a study before any compute is spent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from peftlab.core.errors import UserError
from peftlab.core.identity import canonical_json
from peftlab.data.glue_folder import GlueFolder
from peftlab.data.source import open_source
from peftlab.engine.devices.registry import AUTO, device_here
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import load_config
from peftlab.stats.noise import LEVEL
from peftlab.stats.power import POWER, detectable_spreads
from peftlab.stats.tails import least_num_seeds
from peftlab.study.arms import Arm
from peftlab.study.remarks.checkpoint_remarks import unused_head, weights_remarks
from peftlab.study.remarks.finding import Finding
from peftlab.study.remarks.label_hints import label_hints
from peftlab.study.remarks.precision_remarks import bf16_remark
from peftlab.study.remarks.row_remarks import row_remarks
from peftlab.study.remarks.size_remarks import size_remarks
from peftlab.study.remarks.training_remarks import long_warmups, odd_settings, without_effect
from peftlab.study.spec import LEAST_SEEDS
from peftlab.study.trials import Expanded
from peftlab.tasks.registry import TASKS

BITFIT_LEAST = 1e-4
"""Ben Zaken et al. 2022 searched 1e-4 to 1e-3 for BitFit."""

LORA_LEAST = 5e-5
"""Hu et al. 2022 used 5e-4 for BERT-like encoders; full fine-tuning wants about a tenth."""

FULL_MOST = 1e-4
"""Devlin et al. 2019 recommend 2e-5 to 5e-5; far above, training diverges or collapses."""

ENOUGH_SEEDS = 5
"""The seeds below which Student's t makes intervals wide: 4.30 deviations at three seeds, 2.78 at
five."""


def lint(expanded: Expanded) -> list[Finding]:
    """Return all remarks on a study, the gravest first."""
    findings = [
        *row_remarks(expanded),
        *size_remarks(expanded),
        *_learning_rates(expanded),
        *_random_heads(expanded),
        *_checkpoint(expanded),
        *_methods(expanded),
        *_warmups(expanded),
        *without_effect(expanded),
        *odd_settings(expanded),
        *_precision(expanded),
        *_nothing_cached(expanded),
        *_seeds(expanded),
        *_folds(expanded),
        *_rule(expanded),
        *_selection(expanded),
        *_claims(expanded),
        *_left_out(expanded),
        *_odd_labels(expanded),
    ]
    grave = {"error": 0, "warning": 1, "note": 2}
    return sorted(findings, key=lambda finding: grave[finding.level])


def errors_before_run(expanded: Expanded) -> list[Finding]:
    """Return lint's errors that do not end a run by themselves and are found in no time."""
    return [finding for finding in _warmups(expanded) if finding.level == "error"]


def learning_rate_advice(method: str, rate: float) -> str:
    """Return the published advice against a method's learning rate; "" if there is none."""
    if method.startswith("bitfit") and rate < BITFIT_LEAST:
        return (
            "hardly learns: few numbers move, so they must move far; "
            "its authors searched 1e-4 to 1e-3"
        )
    if method == "lora" and rate < LORA_LEAST:
        return "is low: LoRA's best rate is about ten times that of full fine-tuning (try 2e-4)"
    if method == "full" and rate > FULL_MOST:
        return "is high: full fine-tuning wants 1e-5 to 5e-5 and tends to collapse above 1e-4"
    return ""


def _learning_rates(expanded: Expanded) -> Iterator[Finding]:
    for arm in expanded.arms:
        for rate, tasks in _tasks_by_rate(arm).items():
            advice = learning_rate_advice(arm.method, rate)
            if advice:
                yield Finding(
                    level="warning",
                    rule="learning-rate",
                    where=f"arms.{arm.name} on {', '.join(tasks)}",
                    message=f"{arm.method} at a learning rate of {rate:g} {advice}",
                )


def _tasks_by_rate(arm: Arm) -> dict[float, list[str]]:
    found: dict[float, list[str]] = {}
    for task, training in arm.training.items():
        found.setdefault(training.learning_rate, []).append(task)
    return found


def _random_heads(expanded: Expanded) -> Iterator[Finding]:
    for arm in expanded.arms:
        if not METHODS.get(arm.method).trains_head:
            yield Finding(
                level="warning",
                rule="random-head",
                where=f"arms.{arm.name}",
                message=f"{arm.method} never trains the classifier's weights: they stay at random "
                "values; 'bitfit' trains the head, as the authors of BitFit do",
            )


def _checkpoint(expanded: Expanded) -> Iterator[Finding]:
    remark = unused_head(expanded)
    if remark:
        yield Finding(level="note", rule="unused-head", where="model", message=remark)
    try:
        for remark in weights_remarks(expanded):
            yield Finding(level="warning", rule="weights", where="model", message=remark)
    except UserError as error:
        yield Finding(level="error", rule="weights", where="model", message=str(error))


def _methods(expanded: Expanded) -> Iterator[Finding]:
    model = expanded.spec.model
    try:
        load_config(model)
    except UserError as error:
        yield Finding(
            level="note", rule="checkpoint-unread", where="model",
            message=f"no method was tried on the checkpoint: {error}",
        )  # fmt: skip
        return
    for arm in expanded.arms:
        cause = _why_not(model, arm.method, canonical_json(dict(arm.method_config)))
        if cause:
            yield Finding(level="error", rule="method", where=f"arms.{arm.name}", message=cause)


@lru_cache(maxsize=256)
def _why_not(model: str, method: str, config: str) -> str:
    """Return why a method cannot work on a checkpoint; "" if it can."""
    from peftlab.methods.counts import parameter_counts

    try:
        parameter_counts(model, method, json.loads(config), num_labels=2)
    except UserError as error:
        return str(error)
    return ""


def _warmups(expanded: Expanded) -> Iterator[Finding]:
    return long_warmups(
        (task, arm.name, training, num_trained)
        for arm in expanded.arms
        for task, training in arm.training.items()
        for num_trained in expanded.num_trained[task].values()
    )


def _nothing_cached(expanded: Expanded) -> Iterator[Finding]:
    arms_by_cause: dict[str, list[str]] = {}
    for arm in expanded.arms:
        cause = _why_nothing_cached(expanded.spec.model, arm) if arm.cache_frozen else ""
        if cause:
            arms_by_cause.setdefault(cause, []).append(arm.name)
    for cause, arms in arms_by_cause.items():
        yield Finding(
            level="warning",
            rule="no-effect",
            where=f"cache_frozen ({', '.join(arms)})",
            message=f"has no effect: {cause}",
        )


def _why_nothing_cached(model: str, arm: Arm) -> str:
    """Return why an arm has no frozen layers whose outputs could be kept; "" if it has some."""
    from peftlab.methods.parameters import num_frozen_layers

    try:
        load_config(model)
    except UserError:  # not on this machine: a run tells it with the trial's costs
        return ""
    depth = num_frozen_layers(model, arm.method, arm.method_config)
    if depth is None:
        return "the layers of this architecture cannot be run in part"
    return "" if depth else "the embeddings or the first layer train, and nothing is below them"


def _precision(expanded: Expanded) -> Iterator[Finding]:
    """Yield a finding where bf16 saves no time on this machine."""
    device = device_here(AUTO)
    if device is not None and any(trial.training.bf16 for trial in expanded.trials):
        message = bf16_remark(expanded.trials, device)
        if message:
            yield Finding(level="note", rule="no-effect", where="training.bf16", message=message)


def _seeds(expanded: Expanded) -> Iterator[Finding]:
    has_rule = expanded.spec.decide is not None  # which adds seeds
    if len(expanded.spec.seeds) == 1 and not has_rule and not _has_enough_folds(expanded):
        yield Finding(
            level="warning",
            rule="single-seed",
            where="seeds",
            message="one seed tells nothing of the spread between runs, which on small tasks is "
            "larger than most differences between methods; use at least three, better five",
        )


def _has_enough_folds(expanded: Expanded) -> bool:
    """Return whether there are enough folds to show, with one seed, how an arm's models differ."""
    return expanded.spec.folds is not None and expanded.spec.folds >= LEAST_SEEDS


def _folds(expanded: Expanded) -> Iterator[Finding]:
    """Yield findings on folds: files of dev that are not used, and folds too few to test by."""
    spec = expanded.spec
    if spec.folds is None:
        return
    for name, own in spec.own_data.items():
        if isinstance(own.dev, str):
            yield Finding(
                level="note",
                rule="no-effect",
                where=f"data.{name}.dev",
                message=f"{Path(own.dev).name} is not used: with folds the rows of "
                f"{Path(own.train).name} are scored",
            )
    if not _has_enough_folds(expanded):
        yield Finding(
            level="note",
            rule="few-folds",
            where="folds",
            message=f"{spec.folds} folds hardly show how models of an arm differ: take 5 or 10",
        )


def _rule(expanded: Expanded) -> Iterator[Finding]:
    """Yield a finding where the rule for further seeds stops before any test can decide."""
    spec = expanded.spec
    if spec.decide is None:
        return
    num_tests = max(len(spec.claims), len(expanded.arms) - 1, 1)
    least = least_num_seeds(LEVEL / num_tests)
    if spec.decide.max_seeds < least:
        yield Finding(
            level="warning",
            rule="few-seeds",
            where="decide.max_seeds",
            message=f"with {spec.decide.max_seeds} seeds nothing can be decided: a test that holds "
            f"for any number of looks takes {least} of them, as one of {num_tests}",
        )


def _selection(expanded: Expanded) -> Iterator[Finding]:
    scored = "dev" if expanded.spec.folds is None else "a fold"
    if expanded.spec.selection is None and any(
        training.total_epochs(expanded.num_examples[task][0]) > 1
        for arm in expanded.arms
        for task, training in arm.training.items()
    ):
        yield Finding(
            level="note",
            rule="selection-on-dev",
            where="report",
            message=f"the scores of {scored} are those of the last epoch: the best epoch there "
            "would be picked by the very rows that it is scored on. "
            "'selection: {split: train, fraction: 0.1}' picks the epoch on rows held out of train",
        )
    by_method: dict[str, list[str]] = {}
    for arm in expanded.arms:
        by_method.setdefault(arm.method, []).append(arm.name)
    for method, names in by_method.items():
        if len(names) > 1:
            yield Finding(
                level="note",
                rule="selection-on-dev",
                where=f"arms {', '.join(names)}",
                message=f"{len(names)} variants of {method} are compared on dev: to report the "
                "best of them is selection on the reported split, an advantage over a method "
                "that is tried once",
            )


def _claims(expanded: Expanded) -> Iterator[Finding]:
    spec = expanded.spec
    by_seeds: dict[int, list[str]] = {}
    for number, claim in enumerate(spec.claims):
        arms = [arm for arm in expanded.arms if {arm.name, arm.base} & set(claim.arms)]
        fewest = min((len(arm.seeds) for arm in arms), default=ENOUGH_SEEDS)
        by_seeds.setdefault(fewest, []).append(f"claims[{number}]")
        absent = [task for task in claim.tasks or () if task not in spec.tasks]
        if absent:
            yield Finding(
                level="warning",
                rule="no-effect",
                where=f"claims[{number}].tasks",
                message=f"{', '.join(absent)}: not among the tasks of the study",
            )
    for fewest, claims in by_seeds.items():
        if fewest < ENOUGH_SEEDS and not _has_enough_folds(expanded):
            yield Finding(
                level="warning" if fewest < LEAST_SEEDS else "note",
                rule="too-few-seeds",
                where=", ".join(claims),
                message=_few_seeds(fewest),
            )


def _left_out(expanded: Expanded) -> Iterator[Finding]:
    """Yield findings on rows of a GLUE folder that no trial sees."""
    spec = expanded.spec
    if expanded.unread or not isinstance(spec.data, str):
        return
    source = open_source(spec.data)
    if not isinstance(source, GlueFolder):
        return
    for name in spec.tasks:
        task = TASKS.get(name)
        for split in ("train", "dev"):
            number = source.left_out(task, split)
            lacking = f"{number:,} rows lack fields and are left out"
            if number == 1:
                lacking = "1 row lacks fields and is left out"
            if number:
                yield Finding(
                    level="note",
                    rule="rows-left-out",
                    where=f"data: {name} {split}",
                    message=f"{lacking}, as the published readers of these files do",
                )


def _odd_labels(expanded: Expanded) -> Iterator[Finding]:
    """Yield findings on labels of own files that are probably wrong, or written in two ways."""
    for task, trial in {trial.task: trial for trial in expanded.trials}.items():
        files = trial.data.files
        for hint in label_hints(trial.definition.labels if trial.definition else ()):
            file = "" if files is None else f" ({Path(files.train).name})"
            yield Finding(level="warning", rule="labels", where=f"data.{task}{file}", message=hint)


def _few_seeds(number: int) -> str:
    """Return a sentence on what so few seeds of an arm can show of a claim."""
    if number < LEAST_SEEDS:
        seeds = "one seed" if number == 1 else f"{number} seeds"
        return f"with {seeds} the verdict will be 'not enough runs': it takes {LEAST_SEEDS}"
    return (
        f"{number} seeds give {POWER:.0%} power for a difference of "
        f"{detectable_spreads(number):.1f} times the spread between runs, {ENOUGH_SEEDS} seeds for "
        f"{detectable_spreads(ENOUGH_SEEDS):.1f} times"
    )
