"""The events of trials while they are run: events, and who listens to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from peftlab.core.measurements import Costs, Evaluation
from peftlab.core.trial import Trial
from peftlab.core.validation import Frozen


class OfTrial(Frozen):
    """The base of events of one trial, which is given by its id."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    trial_id: str


class Started(Frozen):
    """A trial begins, or is tried again; nothing of it has been read yet."""

    event: Literal["started"] = "started"
    trial: Trial

    @property
    def trial_id(self) -> str:
        """The trial's id."""
        return self.trial.id


class Began(OfTrial):
    """The trial's data and model are loaded; the state before training will now be evaluated."""

    event: Literal["began"] = "began"
    total_steps: int
    steps_per_epoch: int


class Resumed(OfTrial):
    """The trial continues after this step; `evaluations` are those that were made before."""

    event: Literal["resumed"] = "resumed"
    step: int
    evaluations: tuple[Evaluation, ...]


class Stepped(OfTrial):
    """An optimizer step was taken, counted from 1; `loss` is the mean over its examples.

    Not every step need be told.
    """

    event: Literal["stepped"] = "stepped"
    step: int
    loss: float


class Evaluated(OfTrial):
    """The state after a step (0: before training) was evaluated."""

    event: Literal["evaluated"] = "evaluated"
    evaluation: Evaluation


class WithCosts(OfTrial):
    """The base of events that say what the trial has cost so far, and with how many rows."""

    costs: Costs
    num_train_examples: int
    num_eval_examples: int


class Finished(WithCosts):
    """The trial is done and its artifacts are in their folder."""

    event: Literal["finished"] = "finished"


class Paused(WithCosts):
    """The trial rests after an evaluation, from where it can go on; it has no artifacts yet."""

    event: Literal["paused"] = "paused"


class Failed(OfTrial):
    """The trial has ended by an error of its own."""

    event: Literal["failed"] = "failed"
    error: str


class Interrupted(OfTrial):
    """The trial was stopped from outside, or is not begun because the study ends."""

    event: Literal["interrupted"] = "interrupted"


class Remarked(Frozen):
    """A remark for the user on how a trial is run; or how trials are, without the id of one."""

    event: Literal["remarked"] = "remarked"
    trial_id: str | None = None
    text: str


End = Finished | Paused | Failed | Interrupted
"""The ends of a run of a trial; each trial that has started gets exactly one."""
Event = Annotated[
    Started | Began | Resumed | Stepped | Evaluated | End | Remarked,
    Field(discriminator="event"),
]
Listener = Callable[[Event], None]
"""A function that receives events: in order for each trial. A study's listeners are called in its
process alone."""


def ignore(event: Event) -> None:
    """Do nothing with the event."""


def all_of(*listeners: Listener) -> Listener:
    """Return a listener that tells each of the listeners, in their order."""

    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return tell
