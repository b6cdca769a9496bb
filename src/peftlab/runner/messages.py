"""The requests to a process that runs jobs, and its messages: one JSON object a line."""

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
    """Asks how fast the first trial of a job trains here, measured over about `seconds`."""

    do: Literal["measure"] = "measure"
    job: Job
    seconds: float


class Ready(Frozen):
    """Reports, once, that the process has imported everything that it needs."""

    event: Literal["ready"] = "ready"


class Busy(Frozen):
    """Reports now and then that the process makes progress before the first step."""

    event: Literal["busy"] = "busy"


class Placed(Frozen):
    """Reports that the job runs in a process, on a node of a cluster."""

    event: Literal["placed"] = "placed"
    node: str
    pid: int


class StatePublished(Frozen):
    """Reports that the state of a trial was passed on, under this name."""

    event: Literal["published"] = "published"
    trial_id: str
    state: str


class RateMeasured(Frozen):
    """Reports the number of examples trained per second."""

    event: Literal["measured"] = "measured"
    rate: float


class Refused(Frozen):
    """Reports a user error, which has ended the job and ends the study: the parts of a UserError.

    `is_absent` says that it is an AbsentError.
    """

    event: Literal["refused"] = "refused"
    what: str
    where: str
    allowed: str
    remedy: str = ""
    is_absent: bool = False

    @classmethod
    def of(cls, error: UserError) -> Refused:
        """Return the message of the error."""
        return cls(
            what=error.what,
            where=error.where,
            allowed=error.allowed,
            remedy=error.remedy,
            is_absent=isinstance(error, AbsentError),
        )

    @property
    def error(self) -> UserError:
        """The error that the message was made of."""
        kind = AbsentError if self.is_absent else UserError
        return kind(self.what, where=self.where, allowed=self.allowed, remedy=self.remedy)


class Lost(Frozen):
    """Reports that something could not be stored, which ends the study: a StorageError's parts."""

    event: Literal["lost"] = "lost"
    what: str
    where: str


class Done(Frozen):
    """Reports that the process is idle; the end of each trial of its job was reported before."""

    event: Literal["done"] = "done"


Request = Annotated[RunJob | MeasureRate, Field(discriminator="do")]
Message = Annotated[
    # What happens to trials, and what is said of the process and of its job.
    Event | Ready | Busy | Placed | StatePublished | RateMeasured | Refused | Lost | Done,
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
    """A watcher of stages, such as encoding, that reports now and then that they advance."""

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
    """Pass on the event that a message holds, if it is one.

    Raises the error that has ended a job and ends the study: a UserError or a StorageError.
    """
    match message:
        case Refused():
            raise message.error
        case Lost():
            raise StorageError(message.what, where=message.where)
        case Ready() | Busy() | Placed() | StatePublished() | RateMeasured() | Done():
            pass
        case event:
            tell(event)
