"""Messages to a worker and back as JSON arrive unchanged."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.errors import AbsentError, StorageError, UserError
from peftlab.core.measurements import Evaluation
from peftlab.core.training import CheckpointEvery
from peftlab.engine.events import (
    Began,
    Evaluated,
    Failed,
    Finished,
    Interrupted,
    Paused,
    Remarked,
    Resumed,
    Started,
    Stepped,
)
from peftlab.engine.job import Job
from peftlab.runner import messages
from peftlab.runner.messages import (
    MESSAGES,
    REQUESTS,
    Busy,
    Done,
    Lost,
    MeasureRate,
    Placed,
    RateMeasured,
    Ready,
    Refused,
    RunJob,
    StatePublished,
    pass_on,
    to_line,
    told_seldom,
)
from peftlab.study.trials import Expanded

MakeStudy = Callable[..., Expanded]
RECORD = Evaluation(
    epoch=1,
    step=7,
    train_loss=0.1 + 0.2,
    eval_loss=1 / 3,
    scores={"f1": 200 / 3},
    seconds=1e-9,
    step_losses=(0.1, 5e-324, 1.7976931348623157e308),
    held_out_scores={"f1": 1e22},
)


def test_a_request_comes_back_with_all_that_a_worker_needs_of_it(
    tiny_study: MakeStudy, tmp_path: Path
) -> None:
    trials = tiny_study().trials
    job = Job(
        trials=trials,
        folders={trial.id: tmp_path / trial.id for trial in trials},
        cache=tmp_path / "cache",
        device="cuda:1",
        checkpoint_every=CheckpointEvery(number=3, unit="steps"),
        threads=2,
        seconds=1 / 3,
        told_every=2.5,
        micro_batch=4,
        stop_after=3,
        is_alone=True,
    )
    assert len(trials) == 3
    for request in (RunJob(job=job), MeasureRate(job=job, seconds=0.1)):
        back = REQUESTS.validate_json(to_line(request))
        assert back == request
        assert [trial.id for trial in back.job.trials] == [trial.id for trial in trials]


def test_every_message_comes_back_to_the_bit(tiny_study: MakeStudy, fake_engine: Any) -> None:
    trial = tiny_study().trials[0]
    every = [
        Started(trial=trial),
        Began(trial_id="a", total_steps=9, steps_per_epoch=3),
        Resumed(trial_id="a", step=7, evaluations=(RECORD, RECORD)),
        Stepped(trial_id="a", step=1, loss=0.1 + 0.2),
        Evaluated(trial_id="a", evaluation=RECORD),
        fake_engine.outcome,
        Failed(trial_id="a", error="two\nlines"),
        Interrupted(trial_id="a"),
        Remarked(trial_id="a", text="a word"),
        Ready(),
        Busy(),
        Placed(node="n", pid=1),
        StatePublished(trial_id="a", state="s"),
        RateMeasured(rate=1 / 3),
        Refused(what="w", where="x", allowed="y"),
        Lost(what="w", where="x"),
        Done(),
    ]
    for message in every:
        line = to_line(message)
        assert "\n" not in line
        assert MESSAGES.validate_json(line) == message
    names = [json.loads(to_line(message))["event"] for message in every]
    assert len(set(names)) == len(every)


def test_a_score_that_is_no_number_stays_what_it_is() -> None:
    message = Stepped(trial_id="a", step=1, loss=math.nan)
    assert math.isnan(MESSAGES.validate_json(to_line(message)).loss)  # type: ignore[union-attr]


def test_an_end_comes_back_also_without_costs_that_an_older_worker_did_not_know(
    fake_engine: Any,
) -> None:
    values = json.loads(to_line(fake_engine.outcome))
    del values["costs"]["energy_joules"]
    told: list[Any] = []
    pass_on(MESSAGES.validate_python(values), told.append)
    assert told == [fake_engine.outcome]
    assert told[0].costs.energy_joules is None


def test_what_ends_a_study_is_raised() -> None:
    error = UserError("w", where="x", allowed="y", remedy="z")
    with pytest.raises(UserError) as refused:
        pass_on(Refused.of(error), print)
    assert vars(refused.value) == vars(error)
    assert type(refused.value) is UserError
    with pytest.raises(AbsentError, match="gone") as absent:
        pass_on(Refused.of(AbsentError("gone", where="there", allowed="another")), print)
    assert (absent.value.where, absent.value.allowed) == ("there", "another")
    with pytest.raises(StorageError) as lost:
        pass_on(Lost(what="no room", where="/runs"), print)
    assert str(lost.value) == str(StorageError("no room", where="/runs"))


def test_steps_of_each_trial_are_told_seldom_and_all_else_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(messages, "monotonic", lambda: now[0])
    told: list[Any] = []
    tell = told_seldom(told.append, every=2.0)
    tell(Began(trial_id="a", total_steps=9, steps_per_epoch=9))
    for step in range(1, 10):
        for trial_id in ("a", "b"):
            tell(Stepped(trial_id=trial_id, step=step, loss=0.5))
        now[0] += 0.75
    tell(Resumed(trial_id="a", step=3, evaluations=()))
    for trial_id in ("a", "b"):
        steps = [one.step for one in told if isinstance(one, Stepped) and one.trial_id == trial_id]
        assert steps == [1, 4, 7]
    assert [type(message) for message in (told[0], told[-1])] == [Began, Resumed]


def test_a_trial_that_rests_is_not_one_that_is_done(fake_engine: Any) -> None:
    outcome = fake_engine.outcome.model_dump(exclude={"event"})
    resting, done = Paused.model_validate(outcome), Finished.model_validate(outcome)
    assert MESSAGES.validate_json(to_line(resting)) == resting
    assert MESSAGES.validate_json(to_line(resting)) != done
