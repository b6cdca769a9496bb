"""Predictions of a classifier on a split, and what they score."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from peftlab.data.batches import batches, by_length
from peftlab.data.encode import Encoded
from peftlab.data.predictions import Predictions
from peftlab.engine.classifier import Classifier


def predict_logits(
    classifier: Classifier, data: Encoded, *, batch_size: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Logits float32 [N, C] in the data's order, computed in eval mode, longest rows first.

    Sorting by length changes which rows meet in a batch, and so the result by rounding only.
    """
    was_training = classifier.module.training
    classifier.module.eval()
    order = by_length(data.lengths)
    with torch.inference_mode():
        parts = [
            classifier.logits(data, rows).float().cpu().numpy()
            for rows in batches(order, batch_size)
        ]
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
    """Cross-entropy, the mean over all examples, in double precision."""
    logits = torch.from_numpy(predictions.logits).double()
    labels = torch.from_numpy(predictions.labels.astype(np.int64))
    return float(cross_entropy(logits, labels))
