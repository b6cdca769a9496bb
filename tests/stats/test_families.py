"""Adjusted p values are Holm's."""

from __future__ import annotations

import numpy as np
import pytest

from peftlab.stats.families import holm


def test_the_steps_by_hand() -> None:
    assert holm([0.04, 0.01, 0.03, 0.5]) == pytest.approx([0.09, 0.04, 0.09, 0.5])


def test_they_reject_what_stepping_down_rejects() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        p_values = generator.random(6) ** 3
        rejected = set()
        for rank, index in enumerate(np.argsort(p_values)):
            if p_values[index] > 0.05 / (6 - rank):
                break
            rejected.add(index)
        found = holm(p_values.tolist())
        assert {index for index, p in enumerate(found) if p <= 0.05} == rejected


def test_one_test_stays_what_it_is_and_none_is_none() -> None:
    assert holm([0.04]) == [0.04]
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_tests_that_were_withdrawn_still_count() -> None:
    assert holm([0.01, 0.02], num_tests=5) == pytest.approx([0.05, 0.08])
    assert holm([0.01, 0.02], num_tests=1) == holm([0.01, 0.02]), "there are two at least"
    assert holm([], num_tests=3) == []
