"""Each kind of problem is recognised from its labels, and gives answers in their form."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from peftlab.core.inputs import ProblemType
from peftlab.tasks.problem import answers, made_up_rows, probabilities, problem_type_of

LOGITS = np.array([[0.5, 0.5, -1.0], [-2.0, 3.0, 1e-30]], dtype=np.float32)


@pytest.mark.parametrize(
    ("labels", "problem_type"),
    [
        (np.array([0, 2]), "single_label_classification"),
        (np.array([0.0, 2.5]), "regression"),
        (np.array([[0, 1], [1, 1]]), "multi_label_classification"),
    ],
)
def test_labels_tell_the_kind(labels: np.ndarray, problem_type: ProblemType) -> None:
    assert problem_type_of(labels) == problem_type


@pytest.mark.parametrize(
    ("problem_type", "said"),
    [
        ("single_label_classification", [0, 1]),
        ("regression", [0.5, -2.0]),
        ("multi_label_classification", [[1, 1, 0], [0, 1, 1]]),
    ],
)
def test_answers_are_in_the_form_of_the_labels(problem_type: ProblemType, said: list) -> None:
    found = answers(LOGITS, problem_type)
    assert found.tolist() == said
    assert problem_type_of(found) == problem_type


def test_probabilities_of_classes_sum_to_one_and_those_of_labels_stand_alone() -> None:
    shares = probabilities(LOGITS, "single_label_classification")
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(shares[0, 2] / shares[0, 0], np.exp(-1.5))
    alone = probabilities(np.array([[0, 1e4, -1e4, 1]]), "multi_label_classification")
    np.testing.assert_allclose(alone, [[0.5, 1, 0, 1 / (1 + np.exp(-1))]])
    with pytest.raises(ValueError, match="has no probabilities"):
        probabilities(LOGITS, "regression")


@pytest.mark.parametrize("problem_type", get_args(ProblemType))
@pytest.mark.parametrize("num_labels", [2, 3, 30])
def test_made_up_rows_have_every_label_and_most_answers_right(
    problem_type: ProblemType, num_labels: int
) -> None:
    logits, labels = made_up_rows(problem_type, num_labels)
    assert problem_type_of(labels) == problem_type
    given = answers(logits, problem_type)
    assert given.dtype == labels.dtype
    if problem_type == "regression":
        assert len({*labels.tolist()}) == len(labels)
        return
    assert np.mean(given == labels) > 0.5
    if problem_type == "multi_label_classification":
        assert (labels.sum(axis=0) == len(labels) // 2).all()
    else:
        assert {*labels.tolist()} == {*range(num_labels)}
