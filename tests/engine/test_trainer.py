"""The engine `trainer` ends as the other engines do; shared tests are in test_loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from peftlab.core.errors import TrialError
from peftlab.core.trial import Trial
from tests.engine.running import run_alone


@pytest.mark.parametrize("engine", ["padded", "trainer"])
def test_a_loss_that_is_not_finite_ends_every_engine_with_the_same_words(
    engine: str, make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    trial = make_trial(engine=engine, learning_rate=1e30, warmup_steps=0, max_grad_norm=0.0)
    with pytest.raises(TrialError) as caught:
        run_alone(trial, tmp_path / "artifacts")
    assert str(caught.value) == "the training loss is nan: the training has diverged"


def test_the_trainer_prints_nothing_of_its_own(
    make_trial: Callable[..., Trial], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trial = make_trial(engine="trainer", rows=8, num_train_epochs=1)
    run_alone(trial, tmp_path / "artifacts")
    assert capfd.readouterr().out == ""
