"""Warm-ups that are too long for the training: before a run, and of trials that were run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from peftlab.core.training import TrainingSettings
from peftlab.core.words import counted
from peftlab.study.remarks.finding import Finding

LONG_WARMUP = 0.2
"""The share of the training beyond which a warm-up is remarked on; papers use 0.06 to 0.1."""


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
