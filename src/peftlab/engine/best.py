"""The state of the epoch by which a trial with held-out rows is reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from peftlab.core.measurements import EpochRecord
from peftlab.core.selection import reported
from peftlab.data.encode import Encoded
from peftlab.data.predictions import Predictions
from peftlab.engine.checkpoint import (
    OF_BEST,
    OF_PARAMETER,
    found_under,
    put_under,
    without_those_under,
)

LOGITS = f"{OF_BEST}logits"
OF_BEST_PARAMETER = f"{OF_BEST}{OF_PARAMETER}"


class BestEpoch:
    """A copy of the trained tensors, and of the predictions, of the best epoch so far.

    It takes the memory of what is trained once more, and as much of each checkpoint.
    """

    def __init__(self, dev: Encoded) -> None:
        self._dev = dev
        self.epoch = 0
        self.predictions: Predictions | None = None
        self.tensors: dict[str, Tensor] = {}
        self.embedding_factor = 1.0

    def offer(
        self,
        epochs: Sequence[EpochRecord],
        predictions: Predictions,
        tensors: Mapping[str, Tensor],
        *,
        embedding_factor: float = 1.0,
    ) -> None:
        """Keep the state behind the last of the epochs if that is the one to report so far."""
        last = epochs[-1]
        if last.epoch > 0 and reported(epochs) is last:
            self.epoch, self.predictions = last.epoch, predictions
            self.tensors = {name: tensor.detach().clone() for name, tensor in tensors.items()}
            self.embedding_factor = embedding_factor

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that a checkpoint keeps of it; none before there was an epoch."""
        if self.predictions is None:
            return {}
        parameters = put_under(OF_BEST_PARAMETER, self.tensors)
        return {LOGITS: torch.from_numpy(self.predictions.logits), **parameters}

    def progress(self) -> dict[str, Any]:
        """Return the JSON values that a checkpoint keeps of it."""
        return {"epoch": self.epoch, "embedding_factor": self.embedding_factor}

    def restore(self, tensors: Mapping[str, Tensor], progress: Mapping[str, Any]) -> None:
        """Go on with what `state` and `progress` gave; KeyError for what they did not give."""
        epoch, factor = progress["epoch"], progress["embedding_factor"]
        if epoch == 0:
            return
        logits = tensors[LOGITS].numpy()
        self.predictions = Predictions(
            row_ids=self._dev.row_ids, labels=self._dev.labels, logits=logits
        )
        self.tensors = found_under(OF_BEST_PARAMETER, tensors)
        self.epoch, self.embedding_factor = epoch, factor


def without_best(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a checkpoint's tensors without those of a best epoch."""
    return without_those_under(OF_BEST, tensors)
