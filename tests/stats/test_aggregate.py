"""A summary of scores is the textbook's mean, deviation and range."""

from __future__ import annotations

import math
import statistics

import pytest

from peftlab.stats.aggregate import Aggregate, aggregate


def test_three_values_by_hand() -> None:
    assert aggregate([2.0, 4.0, 9.0]) == Aggregate(
        num_values=3, mean=5.0, sd=math.sqrt(13.0), least=2.0, greatest=9.0
    )


def test_one_value_has_no_deviation() -> None:
    assert aggregate([81.5]) == Aggregate(
        num_values=1, mean=81.5, sd=None, least=81.5, greatest=81.5
    )


def test_equal_values_have_the_deviation_zero() -> None:
    assert aggregate([70.0, 70.0]).sd == 0.0


def test_mean_and_deviation_are_those_of_the_standard_library() -> None:
    values = [81.3, -0.4, 79.9, 83.25, 80.0, 55.125]
    found = aggregate(values)
    assert found.mean == pytest.approx(statistics.fmean(values), rel=1e-15)
    assert found.sd == pytest.approx(statistics.stdev(values), rel=1e-14)
    assert (found.least, found.greatest) == (-0.4, 83.25)


def test_the_order_of_the_values_does_not_matter_to_the_range() -> None:
    assert aggregate([3.0, 1.0, 2.0]).least == aggregate([1.0, 2.0, 3.0]).least == 1.0


def test_nothing_cannot_be_summed_up() -> None:
    with pytest.raises(ValueError, match="no values"):
        aggregate([])
