"""Collapsed runs are counted, and the others are summarised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from peftlab.stats.collapse import Collapse, collapse_of
from peftlab.stats.learned import constants_of
from peftlab.stats.outcomes import Outcomes
from peftlab.stats.resample import resample
from peftlab.stats.summary import summarise

NUM = 400
LABELS = np.arange(NUM) % 2


def runs(shares: list[float]) -> Outcomes:
    """Return runs that are right on about these shares of the examples; 0 is one answer to all."""
    draws = np.random.default_rng(1).random((len(shares), NUM))
    rows = np.where(draws < np.array(shares)[:, None], LABELS, 1 - LABELS)
    rows[np.array(shares) == 0] = 1
    return Outcomes(
        metric="accuracy", labels_N=LABELS, predictions_SN=rows, seeds=tuple(range(len(shares)))
    )


def found(outcomes: Outcomes) -> Collapse | None:
    constants = constants_of([outcomes])
    own, drawn = resample([outcomes, constants.outcomes], np.random.default_rng(2))
    return collapse_of(outcomes, own, constants, drawn)


def test_one_of_five_runs_has_the_exact_interval_of_its_share_and_the_others_their_own() -> None:
    outcomes = runs([0.9, 0.92, 0.0, 0.88, 0.9])
    collapse = found(outcomes)
    assert collapse is not None
    assert (collapse.num_collapsed, collapse.num_runs) == (1, 5)
    # Clopper's and Pearson's, by the beta distribution.
    assert collapse.low == pytest.approx(stats.beta.ppf(0.025, 1, 5))
    assert collapse.high == pytest.approx(stats.beta.ppf(0.975, 2, 4))
    assert 0.71 < collapse.high < 0.72, "of 0.5% to 72% of all runs it may be true"
    alone = outcomes.of_seeds([0, 1, 3, 4])
    assert collapse.others.mean == pytest.approx(alone.scores_S.mean())
    own = summarise(alone)
    assert (collapse.others.low, collapse.others.high) == pytest.approx(
        (own.low, own.high), abs=0.2
    )
    assert collapse.others.high - collapse.others.low < 0.2 * (
        summarise(outcomes).high - summarise(outcomes).low
    )


def test_runs_just_above_one_answer_are_no_collapse_and_no_proof_of_learning() -> None:
    collapse = found(runs([0.9, 0.53, 0.0]))
    assert collapse is not None
    assert (collapse.num_collapsed, collapse.others.num_values) == (1, 2)
    assert found(runs([0.53, 0.53, 0.0])) is None


@pytest.mark.parametrize("shares", [[0.0] * 4, [0.9, 0.92, 0.88], [0.9], [0.0]])
def test_where_none_or_all_of_the_runs_did_there_is_nothing_to_tell(shares: list[float]) -> None:
    assert found(runs(shares)) is None
