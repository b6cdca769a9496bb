"""The evaluation by which a trial is reported: its predictions, and the tensors trained by then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from peftlab.core.measurements import Evaluation
from peftlab.data.encode import Encoded
from peftlab.data.predictions import Predictions, write_predictions
from peftlab.engine.checkpoint import (
    OF_BEST,
    OF_PARAMETER,
    found_under,
    put_under,
    without_those_under,
)
from peftlab.engine.steps import trained
from peftlab.tasks.selection import reported

LOGITS = f"{OF_BEST}logits"
OF_BEST_PARAMETER = f"{OF_BEST}{OF_PARAMETER}"


class ReportedEvaluation:
    """The evaluation by which the trial would be reported if it ended now, and what belongs to it.

    Its predictions on dev go to `file`. With `keeps_state`, for a trial with held-out rows, a copy
    of the trained tensors is kept too, which costs their size once more in memory and in each
    checkpoint.
    """

    def __init__(self, dev: Encoded, *, file: Path | None = None, keeps_state: bool = True) -> None:
        self._dev, self._file, self._keeps_state = dev, file, keeps_state
        self.step = 0
        self.predictions: Predictions | None = None
        self.tensors: dict[str, Tensor] = {}
        self.embedding_factor = 1.0

    def offer(
        self,
        evaluations: Sequence[Evaluation],
        predictions: Predictions,
        module: nn.Module,
        *,
        embedding_factor: float = 1.0,
    ) -> None:
        """Keep the last evaluation, made of the module as it is now, if it would be reported.

        Raises StorageError if the predictions cannot be written.
        """
        last = evaluations[-1]
        if reported(evaluations) is not last:
            return
        if self._file is not None:
            write_predictions(self._file, predictions)
        if self._keeps_state and last.step > 0:
            self.step, self.predictions = last.step, predictions
            self.tensors = {name: one.detach().clone() for name, one in trained(module)}
            self.embedding_factor = embedding_factor

    def put_back(self, put: Callable[..., None]) -> None:
        """Call `put` with the tensors of the kept state, if any, so that training ends with it.

        Its predictions are written again, since the file may come from an attempt elsewhere whose
        last evaluations were lost.
        """
        if self.predictions is not None:
            put(self.tensors, embedding_factor=self.embedding_factor)
            if self._file is not None:
                write_predictions(self._file, self.predictions)

    def state(self) -> dict[str, Tensor]:
        """Return the tensors for a checkpoint; none before an evaluation was kept."""
        if self.predictions is None:
            return {}
        parameters = put_under(OF_BEST_PARAMETER, self.tensors)
        return {LOGITS: torch.from_numpy(self.predictions.logits), **parameters}

    def progress(self) -> dict[str, Any] | None:
        """Return the JSON values for a checkpoint; None if no state is kept."""
        if not self._keeps_state:
            return None
        return {"step": self.step, "embedding_factor": self.embedding_factor}

    def restore(self, tensors: Mapping[str, Tensor], progress: Mapping[str, Any] | None) -> None:
        """Restore what `state` and `progress` returned; raise KeyError if any of it is missing."""
        if not self._keeps_state:
            return
        if progress is None:
            raise KeyError("step")
        step, factor = progress["step"], progress["embedding_factor"]
        if step == 0:
            return
        logits = tensors[LOGITS].numpy()
        self.predictions = Predictions(
            row_ids=self._dev.row_ids, labels=self._dev.labels, logits=logits
        )
        self.tensors = found_under(OF_BEST_PARAMETER, tensors)
        self.step, self.embedding_factor = step, factor


def without_best(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a checkpoint's tensors without those of a reported evaluation."""
    return without_those_under(OF_BEST, tensors)
