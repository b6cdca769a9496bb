"""The best epoch has the lowest score in a loss, and the highest in any other metric."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from peftlab.tasks.scores import main_merit, scores_words, unit_of
from peftlab.tasks.selection import reported


@dataclass(frozen=True)
class Epoch:
    held_out_scores: dict[str, float] | None


@pytest.mark.parametrize(("metric", "place"), [("accuracy", 3), ("brier", 2), ("log_loss", 2)])
def test_the_best_epoch_on_held_out_rows_is_reported(metric: str, place: int) -> None:
    epochs = [Epoch({metric: value, "f1": 0.0}) for value in (9.0, 5.0, 1.0, 7.0, 7.0, 1.0)]
    assert reported(epochs) is epochs[place]


def test_merits_of_scores_are_greater_where_the_scores_are_better() -> None:
    assert main_merit({"brier": 20.0}) > main_merit({"brier": 30.0})
    assert main_merit({"accuracy": 30.0}) > main_merit({"accuracy": 20.0})


def test_scores_are_shown_in_their_units_wherever_they_are_of() -> None:
    assert unit_of("log_loss_on_mnli-mm") == "nats"
    assert scores_words({"f1": 50.04, "log_loss_on_mnli-mm": 0.12345}) == (
        "f1 50.0, log_loss_on_mnli-mm 0.123"
    )
