"""The events that are sent while trials run, and the type of their listeners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from peftlab.core.measurements import Costs, Evaluation
from peftlab.core.trial import Trial
from peftlab.core.validation import Frozen


class OfTrial(Frozen):
    """The base of events about one trial, which is given by its id."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    trial_id: str


class Started(Frozen):
    """A trial begins, or is tried again; none of its data have been read yet."""

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
    """The trial continues after this step; `evaluations` are those made before it."""

    event: Literal["resumed"] = "resumed"
    step: int
    evaluations: tuple[Evaluation, ...]


class Stepped(OfTrial):
    """An optimizer step was taken, counted from 1; `loss` is the mean over its examples.

    Not every step needs an event.
    """

    event: Literal["stepped"] = "stepped"
    step: int
    loss: float


class Evaluated(OfTrial):
    """The state after a step (0: before training) was evaluated."""

    event: Literal["evaluated"] = "evaluated"
    evaluation: Evaluation


class Finished(OfTrial):
    """The trial is done and its artifacts are in their folder.

    With `is_paused` it is not done, but rests after an evaluation from which it can be resumed.
    """

    event: Literal["finished"] = "finished"
    costs: Costs
    num_train_examples: int
    num_eval_examples: int
    is_paused: bool = False


class Failed(OfTrial):
    """The trial has failed with an error of its own."""

    event: Literal["failed"] = "failed"
    error: str


class Interrupted(OfTrial):
    """The trial was stopped from outside, or is not started because the study is ending."""

    event: Literal["interrupted"] = "interrupted"


class Remarked(Frozen):
    """A remark for the user about how trials are run."""

    event: Literal["remarked"] = "remarked"
    text: str


End = Finished | Failed | Interrupted
"""The events that end a trial; each trial that has started gets exactly one of them."""
Event = Annotated[
    Started | Began | Resumed | Stepped | Evaluated | Finished | Failed | Interrupted | Remarked,
    Field(discriminator="event"),
]
Listener = Callable[[Event], None]
"""A function that receives events, in order for each trial. A study's listeners are called only in
the study's own process."""


def ignore(event: Event) -> None:
    """Do nothing with the event."""


def all_of(*listeners: Listener) -> Listener:
    """Return a listener that passes each event to all of the listeners, in their order."""

    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return tell
