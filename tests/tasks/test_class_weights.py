"""Class weights are the given ones or, if balanced, those of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from peftlab.core.errors import UserError
from peftlab.tasks.class_weights import check_label_smoothing, weights_of_classes
from peftlab.tasks.registry import TASKS

MNLI, STSB = TASKS.get("mnli"), TASKS.get("stsb")


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.array([0] * 7 + [1] * 2 + [2] * 30)
    theirs = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    found = weights_of_classes("balanced", MNLI, labels)
    assert found == pytest.approx(theirs)
    assert np.mean(np.array(found)[labels]) == pytest.approx(1)


def test_a_class_without_rows_is_not_counted() -> None:
    assert weights_of_classes("balanced", MNLI, np.array([0, 0, 0, 2])) == (4 / 6, 1.0, 2.0)


def test_a_label_that_is_not_named_has_the_weight_1() -> None:
    labels = np.array([0, 1, 2])
    assert weights_of_classes({"neutral": 2.5}, MNLI, labels) == (1.0, 2.5, 1.0)
    assert weights_of_classes(None, MNLI, labels) is None


def test_what_cannot_be_is_said_in_a_line() -> None:
    labels = np.array([0, 1, 2])
    with pytest.raises(UserError, match="unknown label of the task mnli 'neutrl', did you mean"):
        weights_of_classes({"neutrl": 2.5}, MNLI, labels)
    with pytest.raises(UserError, match="the weights of all classes are 0"):
        weights_of_classes(dict.fromkeys(MNLI.labels, 0.0), MNLI, labels)
    with pytest.raises(UserError, match="the task 'stsb' is a regression"):
        weights_of_classes("balanced", STSB, np.array([0.5]))
    with pytest.raises(UserError, match="label_smoothing_factor needs one label a row"):
        check_label_smoothing(0.1, STSB)
