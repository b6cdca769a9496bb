"""What a process that runs jobs is told, and what it answers: one JSON object a line."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from peftlab.core.errors import AbsentError, StorageError, UserError
from peftlab.core.progress import Stage
from peftlab.core.validation import Frozen
from peftlab.engine.events import Event, Listener, Stepped
from peftlab.engine.job import Job

SECONDS_OF_PULSE = 1.0


class RunJob(Frozen):
    """Asks for a job to be run."""

    do: Literal["run"] = "run"
    job: Job


class MeasureRate(Frozen):
    """Asks how fast the first trial of a job trains here, over about so many seconds."""

    do: Literal["measure"] = "measure"
    job: Job
    seconds: float


class Ready(Frozen):
    """The process has imported all that it needs; said once."""

    event: Literal["ready"] = "ready"


class Busy(Frozen):
    """The process gets on with something before the first step; said now and then."""

    event: Literal["busy"] = "busy"


class Placed(Frozen):
    """The job has found its process, on a node of a cluster."""

    event: Literal["placed"] = "placed"
    node: str
    pid: int


class Published(Frozen):
    """The state of a trial was handed on, under this name."""

    event: Literal["published"] = "published"
    trial_id: str
    state: str


class Measured(Frozen):
    """So many examples a second were trained."""

    event: Literal["measured"] = "measured"
    rate: float


class Refused(Frozen):
    """A mistake of the user's has ended the job, and ends the study: the parts of a UserError.

    `is_absent` says that it is an AbsentError.
    """

    event: Literal["refused"] = "refused"
    what: str
    where: str
    allowed: str
    is_absent: bool = False

    @classmethod
    def of(cls, error: UserError) -> Refused:
        """Return the message of an error."""
        is_absent = isinstance(error, AbsentError)
        return cls(what=error.what, where=error.where, allowed=error.allowed, is_absent=is_absent)

    @property
    def error(self) -> UserError:
        """The error."""
        kind = AbsentError if self.is_absent else UserError
        return kind(self.what, where=self.where, allowed=self.allowed)


class Lost(Frozen):
    """Something could not be stored, which ends the study: the parts of a StorageError."""

    event: Literal["lost"] = "lost"
    what: str
    where: str


class Done(Frozen):
    """The process has nothing to do; every trial of its job was told to have ended."""

    event: Literal["done"] = "done"


Request = Annotated[RunJob | MeasureRate, Field(discriminator="do")]
Message = Annotated[
    # What happens to trials, and what is said of the process and of its job.
    Event | Ready | Busy | Placed | Published | Measured | Refused | Lost | Done,
    Field(discriminator="event"),
]  # fmt: skip
REQUESTS: TypeAdapter[Request] = TypeAdapter(Request)
MESSAGES: TypeAdapter[Message] = TypeAdapter(Message)


def to_line(message: Frozen) -> str:
    """Return a message or a request as JSON, without the end of the line."""
    return message.model_dump_json()


def told_seldom(tell: Listener, *, every: float) -> Listener:
    """Return a listener that passes on a trial's steps at most once in `every` seconds.

    What else happens is passed on at once.
    """
    told_at: dict[str, float] = {}

    def pass_on(event: Event) -> None:
        if isinstance(event, Stepped):
            now = monotonic()
            if now - told_at.get(event.trial_id, -every) < every:
                return
            told_at[event.trial_id] = now
        tell(event)

    return pass_on


class Pulse:
    """A watcher of stages, such as encoding, that says now and then that they get on."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._told_at = monotonic()

    def began(self, stage: Stage) -> None:
        self.changed(stage)

    def changed(self, stage: Stage) -> None:
        now = monotonic()
        if now - self._told_at >= SECONDS_OF_PULSE:
            self._told_at = now
            self._send(Busy())

    def ended(self, stage: Stage) -> None:
        self.changed(stage)


def pass_on(message: Message, tell: Listener) -> None:
    """Tell what a message says of a trial, if it does.

    Raises the error that has ended a job and ends the study: a UserError or a StorageError.
    """
    match message:
        case Refused():
            raise message.error
        case Lost():
            raise StorageError(message.what, where=message.where)
        case Ready() | Busy() | Placed() | Published() | Measured() | Done():
            pass
        case event:
            tell(event)
