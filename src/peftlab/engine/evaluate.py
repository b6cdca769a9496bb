"""Predictions of a classifier on a split, and what they score."""

from __future__ import annotations

import numpy as np
import torch

from peftlab.core.interrupts import stop_if_requested
from peftlab.data.batches import batches, batches_of_tokens, by_length
from peftlab.data.encode import Encoded
from peftlab.data.predictions import Predictions
from peftlab.engine.classifier import Classifier
from peftlab.engine.loss import summed_loss

TOKENS_PER_BATCH = 1024
"""Of a packed batch in evaluation: enough for fast matrix products, few enough for the caches."""


def predict_logits(
    classifier: Classifier, data: Encoded, *, batch_size: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Logits float32 [N, C] in the data's order, computed in eval mode, longest rows first.

    Padded batches have `batch_size` rows, packed ones as many as TOKENS_PER_BATCH holds. Which
    rows meet in a batch changes the result by rounding only. Raises KeyboardInterrupt if the
    process is asked to stop.
    """
    was_training = classifier.module.training
    classifier.module.eval()
    order = by_length(data.lengths)
    groups = (
        batches_of_tokens(order, data.lengths, TOKENS_PER_BATCH)
        if classifier.packs
        else batches(order, batch_size)
    )
    parts = []
    with torch.inference_mode():
        for rows in groups:
            stop_if_requested()
            parts.append(classifier.logits(data, rows).float().cpu().numpy())
    classifier.module.train(was_training)
    sorted_logits = np.concatenate(parts)
    logits = np.empty_like(sorted_logits)
    logits[order] = sorted_logits
    return logits


def predict_split(classifier: Classifier, data: Encoded, *, batch_size: int) -> Predictions:
    """The predictions on a labelled split, rows in its order."""
    logits = predict_logits(classifier, data, batch_size=batch_size)
    return Predictions(row_ids=data.row_ids, labels=data.labels, logits=logits)


def mean_loss(predictions: Predictions) -> float:
    """The mean over all examples of the loss of the problem's kind, in double precision."""
    logits = torch.from_numpy(predictions.logits).double()
    return float(summed_loss(logits, predictions.labels)) / len(predictions.labels)
