"""The predictions of a classifier on a split, and their loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from peftlab.core.interrupts import stop_if_requested
from peftlab.core.trial import Trial
from peftlab.data.batches import Indices, batches, batches_of_tokens, by_length
from peftlab.data.encode import Encoded
from peftlab.data.predictions import Predictions
from peftlab.engine.classifier import Classifier, Together
from peftlab.engine.loss import summed_loss
from peftlab.engine.memory import is_out_of_memory


def predict_logits(
    classifier: Classifier, data: Encoded, *, batch_size: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return the logits float32 [N, C] in the data's order, computed in eval mode.

    The longest rows come first. Padded batches have up to `batch_size` rows, packed ones up to a
    number of tokens (Classifier.eval_tokens), which is halved while memory is short. The choice of
    rows that share a batch changes the result by rounding only: rows that would see their
    neighbours or their padding are kept apart (Classifier.together). Logits stay on the device
    until all are computed. Raises KeyboardInterrupt if the process is asked to stop.
    """
    was_training = classifier.module.training
    classifier.module.eval()
    order = by_length(data.lengths)
    most = classifier.eval_tokens
    parts: list[Tensor] = []
    done = 0
    with torch.inference_mode():
        while done < len(order):
            try:
                for rows in _batches(classifier, order[done:], data.lengths, batch_size, most):
                    stop_if_requested()
                    parts.append(classifier.logits(data, rows))
                    done += len(rows)
            except RuntimeError as error:
                if not is_out_of_memory(error) or not classifier.packs or most == 1:
                    raise
                most //= 2
    classifier.module.train(was_training)
    logits = np.empty((len(order), parts[0].shape[1]), dtype=np.float32)
    logits[order] = torch.cat(parts).cpu().numpy()
    return logits


def _batches(
    classifier: Classifier,
    order: Indices,
    lengths: npt.NDArray[np.int64],
    size: int,
    most_tokens: int,
) -> Iterator[Indices]:
    if classifier.packs:
        yield from batches_of_tokens(order, lengths, most_tokens)
    elif classifier.together is Together.ONE_LENGTH:
        ends = np.flatnonzero(np.diff(lengths[order])) + 1
        for rows in np.split(order, ends):
            yield from batches(rows, size)
    else:
        yield from batches(order, 1 if classifier.together is Together.NONE else size)


def predict_split(classifier: Classifier, data: Encoded, *, batch_size: int) -> Predictions:
    """Return the predictions on a labelled split, in the order of its rows."""
    logits = predict_logits(classifier, data, batch_size=batch_size)
    return Predictions(row_ids=data.row_ids, labels=data.labels, logits=logits)


def predictor(classifier: Classifier, trial: Trial) -> Callable[[Encoded], Predictions]:
    """Return a function that predicts labelled rows."""
    return lambda rows: predict_split(
        classifier, rows, batch_size=trial.training.per_device_eval_batch_size
    )


def mean_loss(predictions: Predictions) -> float:
    """Return the mean loss over all examples, for the problem's kind, in double precision."""
    logits = torch.from_numpy(predictions.logits).double()
    return float(summed_loss(logits, predictions.labels)) / len(predictions.labels)
