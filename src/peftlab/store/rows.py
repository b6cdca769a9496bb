"""Valid rows of the database: whatever else stands there is damage, said in one line."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    Json,
    JsonValue,
    TypeAdapter,
    ValidationError,
)

from peftlab.core.errors import UserError
from peftlab.core.measurements import Costs, Evaluation
from peftlab.core.trial import Trial
from peftlab.core.validation import complaint_of, dotted
from peftlab.store.records import Status

DAMAGED = "the results cannot be read"
REMEDY = "restore an earlier copy, or another --workspace"

Counted = Annotated[int, Field(ge=0)]
Epochs = Annotated[FiniteFloat, Field(ge=0)]
Identifier = Annotated[str, Field(pattern=r"^[0-9a-f]+$")]
ScoresJson = Annotated[Json[dict[str, FiniteFloat]], Field(min_length=1)]


class StoredRow(BaseModel):
    """The part of a row that is read. A column that a newer version has added is none of ours."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class StoredStudy(StoredRow):
    """A row of `studies`."""

    name: Annotated[str, Field(min_length=1)]
    spec: Json[dict[str, JsonValue]]


@lru_cache(maxsize=4096)
def _names(text: object) -> object:
    """Return the names of arms; raise ValidationError for anything else. Many trials have the
    same."""
    return TypeAdapter(Json[tuple[str, ...]]).validate_python(text)


class StoredPlacement(StoredRow):
    """A row of `placements`: which arms of a study have the trial."""

    trial_id: str
    study: str
    arms: Annotated[tuple[str, ...], BeforeValidator(_names)]


class StoredOlderId(StoredRow):
    """A row of `older_ids`: the id that a trial had before schema 4, and that of today."""

    older_id: Identifier
    id: Identifier


class StoredTrial(StoredRow):
    """A row of `trials`. The id names a folder."""

    id: Identifier
    trial: Json[Trial]
    status: Status
    error: str | None
    costs: Json[Any] | None
    num_train_examples: Counted | None
    num_eval_examples: Counted | None
    provenance: Json[dict[str, JsonValue]] | None

    def read_costs(self) -> Costs | None:
        """Return the costs; raise ValidationError for anything else."""
        return None if self.costs is None else _costs().validate_python(self.costs)


class StoredStatus(StoredRow):
    """The status of a trial."""

    id: str
    status: Status


class StatusCount(StoredRow):
    """Trials of one task with one status: their number, and the seconds of those that are done."""

    task: str
    status: Status
    count: Counted
    seconds: FiniteFloat


class Failure(StoredRow):
    """A trial that has failed, and its cause."""

    id: str
    task: str
    error: str | None


class Speed(StoredRow):
    """The tokens a second of a trial's training and evaluation, and the device of both.

    Older versions stored neither the device's own name nor the speed of evaluation. Of a trial that
    shared its steps with others, `together` at a time, they are those of the whole group.
    """

    model_fingerprint: str
    method: str
    engine: str
    cache_frozen: bool
    bf16: bool = False
    tf32: bool = False
    device: str
    device_name: str | None
    threads: int
    tokens_per_second: FiniteFloat
    eval_tokens_per_second: FiniteFloat | None
    together: Annotated[int, Field(ge=1)] = 1


class StoredScores(StoredRow):
    """The scores of an evaluation."""

    trial_id: str
    epoch: Epochs
    scores: ScoresJson
    held_out_scores: ScoresJson | None


class StoredResult(StoredRow):
    """The part of a trial that a frame needs; `settings` is its JSON without seeds and fold."""

    id: str
    settings: str
    seed: int
    fold: Annotated[int, Field(ge=1)] | None = None
    status: Status
    error: str | None
    costs: Json[dict[str, Any]] | None


class StoredEvaluation(StoredRow):
    """A row of `evaluations`. SQLite keeps NaN as NULL; step 0 has no training loss."""

    trial_id: str
    step: Counted
    epoch: Epochs
    train_loss: float | None
    eval_loss: float | None
    scores: ScoresJson
    seconds: FiniteFloat
    step_losses: bytes
    held_out_loss: float | None
    held_out_scores: ScoresJson | None

    def evaluation(self) -> Evaluation:
        """Return the evaluation that was stored; raise ValueError for invalid losses."""
        train_loss, eval_loss = self.train_loss, self.eval_loss
        return Evaluation(
            step=self.step,
            epoch=self.epoch,
            train_loss=float("nan") if train_loss is None and self.step else train_loss,
            eval_loss=float("nan") if eval_loss is None else eval_loss,
            scores=self.scores,
            seconds=self.seconds,
            step_losses=losses_in(self.step_losses),
            held_out_loss=self.held_out_loss,
            held_out_scores=self.held_out_scores or {},
        )


@contextmanager
def refusing_damage(where: str) -> Iterator[None]:
    """Turn errors of damaged rows into a UserError."""
    try:
        yield
    except ValidationError as error:
        complaint = complaint_of(error)
        raise damaged(f"{dotted(complaint.path)}: {complaint.words}", where) from error
    except ValueError as error:
        raise damaged(str(error), where) from error


def damaged(what: str, where: str) -> UserError:
    """Return the error for a damaged database."""
    return UserError(f"{DAMAGED}: {what}", where=where, remedy=REMEDY)


@lru_cache
def _costs() -> TypeAdapter[Costs]:
    return TypeAdapter(Costs)


def stored_losses(losses: Sequence[float]) -> bytes:
    """Return losses as they are stored: eight bytes each, the least significant first."""
    return struct.pack(f"<{len(losses)}d", *losses)


def losses_in(stored: bytes) -> tuple[float, ...]:
    """Return the stored losses; raise ValueError if the bytes are not a whole number of them.

    >>> losses_in(stored_losses([0.5, 0.25]))
    (0.5, 0.25)
    """
    try:
        return struct.unpack(f"<{len(stored) // 8}d", stored)
    except struct.error as error:
        raise ValueError(f"{len(stored)} bytes are no whole number of losses") from error
