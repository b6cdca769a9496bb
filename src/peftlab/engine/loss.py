"""The loss for each kind of problem, as transformers defines it (`problem_type` in its configs)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from peftlab.core.training import TrainingSettings
from peftlab.engine.dataset import TrialData
from peftlab.tasks.class_weights import check_label_smoothing, weights_of_classes
from peftlab.tasks.problem import Values, problem_type_of

SummedLoss = Callable[[Tensor, Values | Tensor], Tensor]
"""The type of summed_loss(logits [B, C], labels), the sum of the losses of all examples."""


def as_wanted(labels: Values) -> npt.NDArray[np.int64] | npt.NDArray[np.float64]:
    """Return the labels as the loss takes them: classes as int64 [B], or floats [B] or [B, C]."""
    if problem_type_of(labels) == "single_label_classification":
        return labels.astype(np.int64)
    return labels.astype(np.float64)


def summed_loss(
    logits: Tensor,
    labels: Values | Tensor,
    *,
    weights_C: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the sum of the losses of all examples, from logits [B, C] and their labels.

    The loss is cross-entropy for classes, with optional class weights and label smoothing; the
    squared error for scores; and the mean of the binary cross-entropies for several labels. Labels
    may already be on the device, in the form of `as_wanted`.
    """
    if not isinstance(labels, Tensor):
        labels = torch.from_numpy(as_wanted(labels)).to(logits.device)
    if not labels.is_floating_point():
        return cross_entropy(
            logits, labels, weight=weights_C, label_smoothing=label_smoothing, reduction="sum"
        )
    wanted = labels.to(logits.dtype)
    if wanted.ndim == 1:
        return mse_loss(logits.squeeze(-1), wanted, reduction="sum")
    return binary_cross_entropy_with_logits(logits, wanted, reduction="sum") / wanted.shape[1]


def training_loss(settings: TrainingSettings, data: TrialData, device: torch.device) -> SummedLoss:
    """Return the training loss, with the settings' class weights and label smoothing.

    Without either, it is the plain loss, which is also used in evaluation. Raises UserError if the
    task has no classes, or if the weights name a class that it does not have.
    """
    weights = weights_of_classes(settings.class_weights, data.task, data.train.labels)
    check_label_smoothing(settings.label_smoothing_factor, data.task)
    if weights is None and not settings.label_smoothing_factor:
        return summed_loss
    return partial(
        summed_loss,
        weights_C=None if weights is None else torch.tensor(weights, device=device),
        label_smoothing=settings.label_smoothing_factor,
    )
