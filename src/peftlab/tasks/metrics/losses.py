"""Losses of probabilities, of which lower is better: log loss, Brier score, calibration error.

Where an example may have several labels, each label is a question of two answers, and the loss is
the mean over labels. Dimensions: R weightings, N examples, S seeds, C classes, B bins.
"""

from __future__ import annotations

import numpy as np

from peftlab.tasks.metrics.weights import mean
from peftlab.tasks.problem import Floats, Logits, Values, probabilities, problem_type_of

NUM_BINS = 15
"""Guo et al. 2017 (arXiv 1706.04599): equal-width bins of the confidence."""


def log_loss(weights_RN: Floats, labels: Values, logits_SNC: Logits) -> Floats:
    """Return the mean of -log p(label), in nats.

    It is computed from the logits, so that no probability is clipped as scikit-learn must do.
    """
    values_SNC = logits_SNC.astype(np.float64)
    if labels.ndim == 2:
        losses_SN = np.logaddexp(0.0, np.where(labels == 1, -values_SNC, values_SNC)).mean(axis=2)
    else:
        from scipy.special import logsumexp  # imported here: it takes a second

        own_SN = values_SNC[:, np.arange(len(labels)), labels.astype(np.int64)]
        losses_SN = np.asarray(logsumexp(values_SNC, axis=2)) - own_SN
    return mean(weights_RN, losses_SN)


def brier(weights_RN: Floats, labels: Values, logits_SNC: Logits) -> Floats:
    """Return the mean of half the squared distance between the probabilities and the label.

    Brier 1950, halved so that it goes from 0 to 1 for any number of classes: scikit-learn's
    brier_score_loss with scale_by_half=True.
    """
    kind = problem_type_of(labels)
    wrong_SNC = np.stack([probabilities(own, kind) for own in logits_SNC])
    if labels.ndim == 2:
        return mean(weights_RN, ((wrong_SNC - labels) ** 2).mean(axis=2))
    wrong_SNC[:, np.arange(len(labels)), labels.astype(np.int64)] -= 1
    return mean(weights_RN, (wrong_SNC**2).sum(axis=2) / 2)


def calibration_error(weights_RN: Floats, labels_N: Values, logits_SNC: Logits) -> Floats:
    """Return the expected calibration error of Guo et al. 2017, in 15 bins of equal width.

    The confidence is the probability of the answer. It is the mean over examples of the distance,
    in their bin (low, high], between the mean confidence and the share of answers that are right.
    """
    scores_RS = np.empty((len(weights_RN), len(logits_SNC)))
    for seed, logits_NC in enumerate(logits_SNC):
        shares_NC = probabilities(logits_NC, "single_label_classification")
        confidence_N = shares_NC.max(axis=1)
        excess_N = confidence_N - (logits_NC.argmax(axis=1) == labels_N)
        place_N = np.ceil(confidence_N * NUM_BINS).astype(np.int64) - 1
        excess_NB = np.zeros((len(labels_N), NUM_BINS))
        excess_NB[np.arange(len(labels_N)), place_N] = excess_N
        scores_RS[:, seed] = np.abs(weights_RN @ excess_NB).sum(axis=1) / weights_RN.sum(axis=1)
    return scores_RS
