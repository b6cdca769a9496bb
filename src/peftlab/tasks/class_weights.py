"""Weights of classes: what the loss of an example is multiplied by in training.

A step's loss is the sum over its examples of weight times cross-entropy, divided by their number.
torch.nn.CrossEntropyLoss divides by the sum of the weights instead, so that an example would count
for more or less with the batch that it happens to be in, and a batch of one class would not be
weighted at all. Divided by the number, the gradient of a step is the same however the step is cut
into micro-batches, and on average that of the weighted loss of all rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from peftlab.core.errors import UnknownNameError, UserError
from peftlab.tasks.problem import Values
from peftlab.tasks.spec import Task

ClassWeights = Mapping[str, float] | str | None


def check_class_weights(given: ClassWeights, task: Task, *, where: str = "") -> None:
    """Raise UserError if the task has no such labels, or its labels cannot have weights."""
    if given is None:
        return
    if task.problem_type != "single_label_classification":
        kind = "a regression" if task.problem_type == "regression" else "of several labels a row"
        raise UserError(
            f"classes have weights, and the task '{task.name}' is {kind}",
            where=where,
            allowed="tasks of one label a row",
        )
    if isinstance(given, str):
        return
    for label in given:
        if label not in task.labels:
            kind = f"label of the task {task.name}"
            raise UnknownNameError(kind, label, task.labels, where=where)
    if not any(given.get(label, 1.0) for label in task.labels):
        raise UserError("the weights of all classes are 0: nothing would be learned", where=where)


def weights_of_classes(given: ClassWeights, task: Task, labels: Values) -> tuple[float, ...] | None:
    """Return the weight of each class, in the order of the logits; None where none are given.

    `labels` are those of the rows that train. `balanced` is n / (k * n_c), of n rows in k classes
    the n_c of class c, as scikit-learn has it: the weights of all rows are 1 on average. A class
    without rows is not counted, and has the weight 1.

    Raises UserError as check_class_weights does.

    >>> from peftlab.tasks.registry import TASKS
    >>> weights_of_classes("balanced", TASKS.get("sst2"), np.array([0, 0, 0, 1]))
    (0.6666666666666666, 2.0)
    """
    check_class_weights(given, task)
    if given is None:
        return None
    if not isinstance(given, str):
        return tuple(given.get(label, 1.0) for label in task.labels)
    counts = np.bincount(labels.astype(np.int64), minlength=task.num_labels)
    num_present = int((counts > 0).sum())
    return tuple(len(labels) / (num_present * int(n)) if n else 1.0 for n in counts)


def check_label_smoothing(factor: float, task: Task, *, where: str = "") -> None:
    """Raise UserError if the labels of a task cannot be smoothed."""
    if factor and task.problem_type != "single_label_classification":
        raise UserError(
            "label_smoothing_factor needs one label a row, and the task "
            f"'{task.name}' is a regression or has several",
            where=where,
            allowed="label_smoothing_factor 0, or tasks of one label a row",
        )
