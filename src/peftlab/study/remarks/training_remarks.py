"""Training settings that have no effect in a study, are seldom intended, or cannot be honoured."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from peftlab.core.errors import UserError
from peftlab.core.identity import canonical_json
from peftlab.core.training import TrainingSettings
from peftlab.core.words import counted
from peftlab.models.checkpoints import load_config
from peftlab.study.remarks.finding import Finding, Level
from peftlab.study.trials import Expanded

LONG_WARMUP = 0.2
"""The share of the training beyond which a warm-up is remarked on; papers use 0.06 to 0.1."""


def is_too_patient(training: TrainingSettings, num_examples: int) -> bool:
    """Return whether early stopping could end the training only after its last evaluation."""
    if training.early_stopping_patience is None:
        return False
    every, total = training.steps_per_evaluation(num_examples), training.total_steps(num_examples)
    return (training.early_stopping_patience + 1) * every >= total


IGNORED: tuple[tuple[str, str, Callable[[TrainingSettings, int], bool]], ...] = (
    (
        "warmup_steps",
        "has no effect: lr_scheduler_type constant has no warm-up, constant_with_warmup has one",
        lambda training, _: training.lr_scheduler_type == "constant" and training.warmup_steps > 0,
    ),
    (
        "num_train_epochs",
        "has no effect beside max_steps, which says how long the training is: leave one out",
        lambda training, _: (
            training.max_steps > 0 and "num_train_epochs" in training.model_fields_set
        ),
    ),
    (
        "adam_beta1, adam_beta2 or adam_epsilon",
        "has no effect: it is of AdamW, and optim names another optimizer",
        lambda training, _: (
            training.optim != "adamw_torch_fused"
            and not {"adam_beta1", "adam_beta2", "adam_epsilon"}.isdisjoint(
                training.model_fields_set
            )
        ),
    ),
    (
        "eval_steps",
        "has no effect: with eval_strategy epoch evaluations are at the ends of epochs",
        lambda training, _: (
            training.eval_strategy == "epoch" and "eval_steps" in training.model_fields_set
        ),
    ),
    (
        "early_stopping_threshold",
        "has no effect without early_stopping_patience, which says how long to wait for more",
        lambda training, _: (
            training.early_stopping_patience is None
            and "early_stopping_threshold" in training.model_fields_set
        ),
    ),
    (
        "early_stopping_patience",
        "has no effect: the training is over before so many evaluations can be no better",
        is_too_patient,
    ),
)
"""The training settings that have no effect beside the others: name, advice, and when."""


def odd_settings(expanded: Expanded) -> Iterator[Finding]:
    """Yield a remark for evaluations that never come, and for classes that are not trained."""
    arms_by_cause: dict[tuple[str, str, str], list[str]] = {}
    for arm in expanded.arms:
        for task, training in arm.training.items():
            num_examples = expanded.num_examples[task][0]
            total = training.total_steps(num_examples)
            every = training.steps_per_evaluation(num_examples)
            if training.eval_strategy == "steps" and every > total:
                message = (
                    f"{counted(every, 'step')} are more than the training has ({total:,}): there "
                    "is one evaluation, at its end"
                )
                arms_by_cause.setdefault(("eval_steps", task, message), []).append(arm.name)
            weights = training.class_weights
            if isinstance(weights, dict):
                for label in (name for name, weight in weights.items() if weight == 0):
                    message = f"the class '{label}' is not trained: its weight is 0"
                    arms_by_cause.setdefault(("class_weights", task, message), []).append(arm.name)
    for (name, task, message), arms in arms_by_cause.items():
        yield Finding(
            level="warning",
            rule="odd-setting",
            where=f"training.{name} on {task} ({', '.join(arms)})",
            message=message,
        )


def without_effect(expanded: Expanded) -> Iterator[Finding]:
    """Yield a remark for each training setting that changes nothing in some arms of a study."""
    for name, message, has_none in IGNORED:
        arms_by_tasks: dict[str, list[str]] = {}
        for arm in expanded.arms:
            tasks = ", ".join(
                task
                for task, training in arm.training.items()
                if has_none(training, expanded.num_examples[task][0])
            )
            if tasks:
                arms_by_tasks.setdefault(tasks, []).append(arm.name)
        for tasks, arms in arms_by_tasks.items():
            yield Finding(
                level="warning",
                rule="no-effect",
                where=f"training.{name} on {tasks} ({', '.join(arms)})",
                message=message,
            )
    yield from _rates_by_layer(expanded)


def long_warmups(
    trained: Iterable[tuple[str, str, TrainingSettings, int]],
) -> Iterator[Finding]:
    """Yield a remark for each task and warm-up that covers too much of a training.

    What is `trained`: the task, the arm, its settings and the number of training examples. A
    warm-up that never ends is an error.
    """
    shares: dict[tuple[str, int, int], list[str]] = {}
    for task, arm, training, num_examples in trained:
        steps = training.total_steps(num_examples)
        warmup = training.num_warmup_steps(steps)
        if training.lr_scheduler_type != "constant" and warmup > LONG_WARMUP * steps:
            arms = shares.setdefault((task, warmup, steps), [])
            if arm not in arms:
                arms.append(arm)
    for (task, warmup, steps), arms in shares.items():
        where = f"training.warmup_steps on {task} ({', '.join(arms)})"
        if warmup >= steps:
            yield Finding(
                level="error",
                rule="warm-up-too-long",
                where=where,
                message=f"the warm-up of {counted(warmup, 'step')} is not over when the "
                f"training is ({counted(steps, 'step')}): the learning rate never reaches its "
                "full value; give a share, such as warmup_steps: 0.06",
            )
        else:
            yield Finding(
                level="warning",
                rule="long-warm-up",
                where=where,
                message=f"the warm-up covers {warmup / steps:.0%} of the training ({warmup:,} of "
                f"{counted(steps, 'step')}); a share, such as warmup_steps: 0.06, fits any task",
            )


def _rates_by_layer(expanded: Expanded) -> Iterator[Finding]:
    """Yield a remark for each arm whose layers cannot have rates of their own."""
    for arm in expanded.arms:
        tasks = [task for task, one in arm.training.items() if one.layerwise_lr_decay != 1]
        try:
            config = canonical_json(dict(arm.method_config))
            depth = _depth(expanded.spec.model, arm.method, config) if tasks else None
            level: Level = "warning"
            message = (
                f"has no effect: {arm.method} trains nothing below the last layer, and all that it "
                "trains has the full rate"
            )
        except UserError as error:
            depth, level, message = 0, "error", str(error)
        if depth == 0:
            yield Finding(
                level=level,
                rule="no-effect" if level == "warning" else "layers",
                where=f"training.layerwise_lr_decay on {', '.join(tasks)} ({arm.name})",
                message=message,
            )


@lru_cache(maxsize=256)
def _depth(model: str, method: str, config: str) -> int | None:
    """Return how deep a method trains; None if the checkpoint is not here, or does not fit it.

    Raises UserError where the model has no layers in order.
    """
    from peftlab.methods.counts import parameter_counts
    from peftlab.methods.parameters import trained_depth

    try:
        load_config(model)
        parameter_counts(model, method, json.loads(config), num_labels=2)
    except UserError:  # which is told of where the method is judged
        return None
    return trained_depth(model, method, json.loads(config))
