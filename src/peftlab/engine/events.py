"""What happens to trials while they are run: events, and who listens to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from peftlab.core.measurements import Costs, Evaluation
from peftlab.core.trial import Trial
from peftlab.core.validation import Frozen


class OfTrial(Frozen):
    """Base of what is told of one trial, by its id."""

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
    """Its data and model are there; the state before training is about to be evaluated."""

    event: Literal["began"] = "began"
    total_steps: int
    steps_per_epoch: int


class Resumed(OfTrial):
    """It goes on after this step instead; `evaluations` are those that were made before."""

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


class Finished(OfTrial):
    """It is done and its artifacts are in their folder.

    Or, with `is_paused`, it rests after an evaluation, from where it can go on.
    """

    event: Literal["finished"] = "finished"
    costs: Costs
    num_train_examples: int
    num_eval_examples: int
    is_paused: bool = False


class Failed(OfTrial):
    """It has ended by an error of its own."""

    event: Literal["failed"] = "failed"
    error: str


class Interrupted(OfTrial):
    """It was stopped from outside, or is not begun because the study ends."""

    event: Literal["interrupted"] = "interrupted"


class Remarked(Frozen):
    """Something that a person should know of how trials are run."""

    event: Literal["remarked"] = "remarked"
    text: str


End = Finished | Failed | Interrupted
"""How a trial can end; each that has started is told to have ended once."""
Event = Annotated[
    Started | Began | Resumed | Stepped | Evaluated | Finished | Failed | Interrupted | Remarked,
    Field(discriminator="event"),
]
Listener = Callable[[Event], None]
"""Who is told: in order for each trial. A study's listeners are called in its process alone."""


def ignore(event: Event) -> None:
    """Do nothing with the event."""


def all_of(*listeners: Listener) -> Listener:
    """Return a listener that tells each of the listeners, in their order."""

    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return tell
