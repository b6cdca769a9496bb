"""The loss of each kind of problem, as transformers has it (`problem_type` of its configs)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from peftlab.tasks.problem import Values, problem_type_of


def summed_loss(logits: Tensor, labels: Values) -> Tensor:
    """The sum over the examples of each one's loss: logits [B, C] and their labels.

    Cross-entropy for classes; the squared error for scores; for several labels the mean of their
    binary cross-entropies.
    """
    problem_type = problem_type_of(labels)
    if problem_type == "single_label_classification":
        classes = torch.from_numpy(labels.astype(np.int64)).to(logits.device)
        return cross_entropy(logits, classes, reduction="sum")
    wanted = torch.from_numpy(labels.astype(np.float64)).to(logits.device, logits.dtype)
    if problem_type == "regression":
        return mse_loss(logits.squeeze(-1), wanted, reduction="sum")
    return binary_cross_entropy_with_logits(logits, wanted, reduction="sum") / wanted.shape[1]
