"""The predictions of a classifier on a split, and their loss."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from peftlab.core.interrupts import stop_if_requested
from peftlab.data.batches import Indices, batches, batches_of_tokens, by_length
from peftlab.data.encode import Encoded
from peftlab.data.predictions import Predictions
from peftlab.engine.classifier import Classifier, Together
from peftlab.engine.loss import summed_loss

TOKENS_PER_BATCH = 1024
"""The most tokens in a packed evaluation batch: fast matrix products that still fit the caches."""


def predict_logits(
    classifier: Classifier, data: Encoded, *, batch_size: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return logits float32 [N, C] in the data's order, computed in eval mode, longest rows first.

    Padded batches have up to `batch_size` rows, packed ones as many as TOKENS_PER_BATCH holds.
    Which rows meet in a batch changes the result by rounding only: where a row would see its
    neighbours or the padding, those are kept apart (Classifier.together). Raises KeyboardInterrupt
    if the process is asked to stop.
    """
    was_training = classifier.module.training
    classifier.module.eval()
    order = by_length(data.lengths)
    parts = []
    with torch.inference_mode():
        for rows in _batches(classifier, order, data.lengths, batch_size):
            stop_if_requested()
            parts.append(classifier.logits(data, rows).float().cpu().numpy())
    classifier.module.train(was_training)
    sorted_logits = np.concatenate(parts)
    logits = np.empty_like(sorted_logits)
    logits[order] = sorted_logits
    return logits


def _batches(
    classifier: Classifier, order: Indices, lengths: npt.NDArray[np.int64], size: int
) -> Iterator[Indices]:
    if classifier.packs:
        yield from batches_of_tokens(order, lengths, TOKENS_PER_BATCH)
    elif classifier.together is Together.ONE_LENGTH:
        ends = np.flatnonzero(np.diff(lengths[order])) + 1
        for rows in np.split(order, ends):
            yield from batches(rows, size)
    else:
        yield from batches(order, 1 if classifier.together is Together.NONE else size)


def predict_split(classifier: Classifier, data: Encoded, *, batch_size: int) -> Predictions:
    """Return the predictions on a labelled split, rows in its order."""
    logits = predict_logits(classifier, data, batch_size=batch_size)
    return Predictions(row_ids=data.row_ids, labels=data.labels, logits=logits)


def mean_loss(predictions: Predictions) -> float:
    """Return the mean over all examples of the loss of the problem's kind, in double precision."""
    logits = torch.from_numpy(predictions.logits).double()
    return float(summed_loss(logits, predictions.labels)) / len(predictions.labels)
