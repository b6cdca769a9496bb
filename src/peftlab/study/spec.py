"""The study file: its keys, checked, with one clear line for whatever is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from peftlab.core.errors import UnknownNameError, UserError, nearest
from peftlab.core.inputs import Head
from peftlab.core.selection import Selection, folds_words
from peftlab.core.training import EVERY_EPOCH, CheckpointEvery, TrainingSettings
from peftlab.core.validation import Count, Frozen, Integer, YesNo, complaint_of, dotted
from peftlab.engine.registry import ENGINES
from peftlab.study.decide_spec import DecideSpec
from peftlab.study.own_data import OwnData
from peftlab.study.parts import PARTS, AdvicePart
from peftlab.study.tune_spec import Budget, TuneSpec
from peftlab.tasks.registry import trained_task

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
SeedList = Annotated[tuple[Annotated[Integer, Field(ge=0)], ...], Field(min_length=1)]
ALL: Final = "all"
TrainSize = Count | Literal["all"]
TRAINING_NAMES = tuple(TrainingSettings.model_fields)
LEAST_SEEDS = 3
"""The fewest runs of each arm with which a claim gets a verdict."""


class ArmSpec(Frozen):
    """One arm: a method, its settings (every further key), and training settings of its own.

    `cache_frozen` None leaves it to the study, `seeds` and `head` likewise. `tune` maps settings to
    what `peftlab tune` tries of them for this arm.

    `sweep` maps settings (of the method or of the training) to lists of values; the arm becomes
    one arm for each combination, named arm-key1value1-key2value2.
    """

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    method: str
    training: dict[str, JsonValue] = Field(default_factory=dict)
    sweep: dict[str, Annotated[tuple[JsonValue, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    note: str = ""
    seeds: SeedList | None = None
    cache_frozen: YesNo | None = None
    head: Head | None = None
    tune: dict[str, JsonValue] = Field(default_factory=dict)

    @field_validator("training", mode="before")
    @classmethod
    def _labels(cls, training: Any) -> Any:
        return _labels_as_texts(training)

    @field_validator("seeds")
    @classmethod
    def _all_different(cls, seeds: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return None if seeds is None else _different(seeds)

    @property
    def settings(self) -> dict[str, JsonValue]:
        """The method's own settings, as given."""
        return dict(self.model_extra or {})


class Claim(Frozen):
    """A sentence with its statement about the arms: either `better` and `than`, or `equivalent`.

    A sweep's name stands for all its arms. `margin` is in points of the task's main metric. It is
    tested on the mean over its `tasks`, all of the study's where none are named.
    """

    say: str
    better: str | None = None
    than: str | None = None
    equivalent: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    margin: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    tasks: Annotated[tuple[str, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _has_one_form(self) -> Claim:
        given = {name for name in type(self).model_fields if getattr(self, name) is not None}
        given.discard("tasks")
        if given not in ({"say", "better", "than"}, {"say", "equivalent", "margin"}):
            raise ValueError("a claim has either better and than, or equivalent and margin")
        for name in self.arms:
            if self.arms.count(name) > 1:
                raise ValueError(f"the arm '{name}' is compared with itself")
        return self

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that the claim is about."""
        return self.equivalent or (self.better or "", self.than or "")


class ReportPart(Frozen):
    """One part of the report: its kind, a key of PARTS, and its options."""

    kind: str
    options: Frozen

    @field_serializer("options")
    def _dump(self, options: Frozen) -> dict[str, Any]:
        return options.model_dump(mode="json")


class FixedSeeds(Frozen):
    """The sources of chance that are the same in all trials, whatever their seed."""

    init: Integer | None = None
    order: Integer | None = None
    dropout: Integer | None = None


def _group(given: object) -> object:
    """Return auto, off or a number of trials; raise ValueError for any other value.

    >>> _group(False), _group(16)  # which is how YAML reads "off"
    ('off', 16)
    """
    if given is False:
        return "off"
    is_number = isinstance(given, int) and not isinstance(given, bool) and given > 0
    if not is_number and given not in ("auto", "off"):
        raise ValueError("must be auto, off, or the number of trials in a step")
    return given


Group = Annotated[Literal["auto", "off"] | int, BeforeValidator(_group)]


def _kind_of_data(data: Any) -> str:
    return "files" if isinstance(data, Mapping) else "place"


Data = Annotated[
    Annotated[str, Tag("place")]
    | Annotated[dict[Name, OwnData], Field(min_length=1), Tag("files")],
    Discriminator(_kind_of_data),
]


def _tasks_may_be_left_out(schema: dict[str, Any]) -> None:
    schema["required"] = [key for key in schema["required"] if key != "tasks"]


class StudySpec(Frozen):
    """A study: every combination of its arms, tasks, seeds, folds and train_sizes is a trial.

    `data` is the name of a place, or a mapping from task to a person's own files; the tasks are
    then those, where `tasks` does not say which.

    Any value of `training`, here or in an arm, may be a mapping from task to value; of settings
    that are mappings themselves (core/training.py) a mapping to such mappings. With
    `cache_frozen` the layers below the lowest one that an arm trains run once, without dropout,
    and their outputs are shared by all trials; an arm may say otherwise for itself. With a
    `selection` each trial holds out rows of train, and reports the epoch that is best there.
    The classifier's `head` is drawn anew, or with `keep` the checkpoint's own, its rows matched by
    the names of the labels; an arm may say otherwise for itself.
    With `folds` each part of train is scored by a trial of its own, and dev is not used.
    With `train_sizes` there are trials on so many rows of train each, or on `all`.
    `track` names the trackers, accelerate's, that follow the trials; it is no part of a trial.
    Neither is `group`, the most trials that train in one step: `auto` leaves it to the planner, and
    with `off` each trial trains alone.
    `decide` is the rule by which seeds are added until claims and advice are decided.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra=_tasks_may_be_left_out, defer_build=True
    )

    name: Name
    description: str = ""
    model: str
    data: Data
    tasks: Annotated[tuple[str, ...], Field(min_length=1)]
    seeds: SeedList = (42,)
    fixed_seeds: FixedSeeds = FixedSeeds()
    engine: str = "packed"
    max_length: Count = 128
    max_train_samples: Count | None = None
    max_eval_samples: Count | None = None
    cache_frozen: YesNo = False
    selection: Selection | None = None
    folds: Annotated[Integer, Field(ge=2)] | None = None
    train_sizes: Annotated[tuple[TrainSize, ...], Field(min_length=1)] | None = None
    head: Head = "fresh"
    checkpoint_every: CheckpointEvery = EVERY_EPOCH
    group: Group = "auto"
    track: tuple[str, ...] = ()
    tune: TuneSpec | None = None
    decide: DecideSpec | None = None
    training: dict[str, JsonValue] = Field(default_factory=dict)
    arms: Annotated[dict[Name, ArmSpec], Field(min_length=1)]
    only_arms: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    claims: tuple[Claim, ...] = ()
    report: tuple[ReportPart, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _tasks_of_files(cls, raw: Any) -> Any:
        if isinstance(raw, Mapping) and "tasks" not in raw and isinstance(raw.get("data"), Mapping):
            return {**raw, "tasks": list(raw["data"])}
        return raw

    @field_validator("engine")
    @classmethod
    def _engine_is_known(cls, engine: str) -> str:
        ENGINES.get(engine)
        return engine

    @field_validator("training", mode="before")
    @classmethod
    def _labels(cls, training: Any) -> Any:
        return _labels_as_texts(training)

    @field_validator("tasks", "seeds", "track", "train_sizes")
    @classmethod
    def _all_different(cls, values: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        return None if values is None else _different(values)

    @field_validator("train_sizes", mode="before")
    @classmethod
    def _sizes(cls, sizes: Any) -> Any:
        if isinstance(sizes, list | tuple):
            for size in sizes:
                if size != ALL and (isinstance(size, bool) or not isinstance(size, int)):
                    raise ValueError(f"{size!r} is neither a number of rows nor all")
                if size != ALL and size < 1:
                    raise ValueError(f"{size} rows are too few to train on")
        return sizes

    @field_validator("report", mode="before")
    @classmethod
    def _parts(cls, parts: Any) -> Any:
        if not isinstance(parts, list | tuple):
            raise ValueError("a list of parts")
        return [_part(part, number) for number, part in enumerate(parts)]

    @model_validator(mode="after")
    def _folds_need_no_dev(self) -> StudySpec:
        if self.folds is None:
            return self
        if self.max_eval_samples is not None:
            raise ValueError(
                "max_eval_samples and folds: each row of train is scored once, in its fold; "
                "max_train_samples says how many rows there are"
            )
        for name, own in self.own_data.items():
            if isinstance(own.dev, float):
                raise ValueError(
                    f"folds, and dev: {own.dev:g} of '{name}': with folds every row of train is "
                    "scored, so that none is cut off for dev; leave one out, as --set "
                    f"data.{name}.dev=null does"
                )
        return self

    @model_validator(mode="after")
    def _there_is_one_margin(self) -> StudySpec:
        wanted = self.decide.margin if self.decide is not None else None
        for part in self.report:
            own = part.options.margin if isinstance(part.options, AdvicePart) else wanted
            if wanted is not None and own != wanted:
                raise ValueError(
                    f"decide.margin is {wanted:g}, and that of the report's part advice {own:g}: "
                    "they are one"
                )
        return self

    @property
    def own_data(self) -> Mapping[str, OwnData]:
        """The user's own files by task; none if `data` names a source."""
        return {} if isinstance(self.data, str) else self.data

    @property
    def data_words(self) -> str:
        """The origin of the data, in a few words."""
        if isinstance(self.data, str):
            return self.data
        return "; ".join(f"{name}: {Path(own.train).name}" for name, own in self.data.items())

    @property
    def split_words(self) -> str:
        """The rows that are scored, if they are not a split of the data; "" if they are."""
        if self.folds is not None:
            return folds_words(self.folds)
        words = {name: own.files().split_words for name, own in self.own_data.items()}
        return "; ".join(
            f"dev of {task} is {words[task]}" for task in self.tasks if words.get(task)
        )

    def require_task(self, name: str, *, where: str) -> None:
        """Raise UnknownNameError unless the study's data may have such a task."""
        if isinstance(self.data, str):
            trained_task(name, where=where)
        elif name not in self.data:
            raise UnknownNameError("task", name, self.data, where=where)


def validate(raw: object, *, where: str) -> StudySpec:
    """Return the study in a parsed file.

    Raises UserError that names the key, and UnknownNameError with the nearest name for a key
    that does not exist.
    """
    if not isinstance(raw, Mapping):
        raise UserError("a study is a mapping of keys", where=where, allowed=_keys(StudySpec))
    try:
        return StudySpec.model_validate(raw)
    except ValidationError as error:
        raise _as_user_error(error, where) from error
    except UserError as error:
        raise _moved(error, where) from error


def _part(part: Any, number: int) -> Any:
    """Return a part, given as in the file, {kind: options}, or as model_dump gives it."""
    where = f"report[{number}]"
    if isinstance(part, Mapping) and set(part) == {"kind", "options"}:
        part = {str(part["kind"]): part["options"]}
    if isinstance(part, str):
        part = {part: {}}
    if not isinstance(part, Mapping) or len(part) != 1:
        raise UserError(
            "each entry of `report` must have exactly one key, the part's name",
            where=where,
            allowed=", ".join(PARTS),
        )
    ((kind, options),) = part.items()
    if kind not in PARTS:
        raise UnknownNameError("report part", str(kind), PARTS, where=where)
    try:
        return ReportPart(kind=kind, options=PARTS[kind].model_validate(options or {}))
    except ValidationError as error:
        raise _as_user_error(error, f"{where}.{kind}", PARTS[kind]) from error


def _as_user_error(
    error: ValidationError, where: str, model: type[Frozen] = StudySpec
) -> UserError:
    """Return pydantic's first complaint as one line, misspelt keys before missing ones."""
    complaint = complaint_of(error)
    path = [part for part in complaint.path if part != "[key]"]
    if path[:1] == ["data"]:
        del path[1:2]  # the name of the union's part
    location = f"{where}: {dotted(path)}" if path else where
    if complaint.kind == "extra_forbidden":
        owner = _owner(model, path)
        parent = f"{where}: {dotted(path[:-1])}" if path[:-1] else where
        if model is StudySpec and len(path) == 1 and path[0] in TRAINING_NAMES:
            return misplaced_setting(str(path[0]), where=where)
        return UnknownNameError("key", str(path[-1]), owner.model_fields, where=parent)
    if complaint.kind == "missing":
        known = _owner(model, path).model_fields
        given = complaint.given if isinstance(complaint.given, Mapping) else {}
        near = nearest(str(path[-1]), [str(key) for key in given if key not in known])
        hint = "" if near is None else f"; is '{near}' a misspelling of it?"
        return UserError(f"this key is missing{hint}", where=location)
    if complaint.kind == "string_pattern_mismatch":
        return UserError(
            f"{str(complaint.given)[:40]!r} is not a name",
            where=location,
            allowed="letters, digits, '.', '_' and '-', at most 64, the first a letter or digit",
        )
    return complaint.refusal(where=location)


def misplaced_setting(name: str, *, where: str, remedy: str = "") -> UserError:
    """Return the error for a training setting that stands beside `training`."""
    return UserError(
        f"'{name}' is a training setting", where=where, remedy=remedy or f"training.{name}"
    )


def _labels_as_texts(training: Any) -> Any:
    """Return training settings in which the labels of class weights are texts, even 0 and 1."""
    weights = training.get("class_weights") if isinstance(training, Mapping) else None
    if not isinstance(weights, Mapping):
        return training
    by_key = {
        str(key): {str(label): one for label, one in value.items()}
        if isinstance(value, Mapping)
        else value
        for key, value in weights.items()
    }
    return {**training, "class_weights": by_key}


def _different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the values; raise ValueError if one appears twice."""
    seen = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{value!r} appears twice")
        seen.add(value)
    return values


def _owner(model: type[Frozen], path: list[str | int]) -> type[Frozen]:
    """Return the model to which the last key of the path belongs."""
    owners: dict[str, type[Frozen]] = {
        "data": OwnData if len(path) > 2 else model,
        "claims": Claim,
        "fixed_seeds": FixedSeeds,
        "selection": Selection,
        "decide": DecideSpec,
        "tune": Budget if path[1:2] == ["budget"] and len(path) > 2 else TuneSpec,
        "arms": ArmSpec,
    }
    return owners.get(str(path[0]), model) if len(path) > 1 else model


def _moved(error: UserError, where: str) -> UserError:
    """Return the same error for a place in the file."""
    location = f"{where}: {error.where}" if error.where else where
    return UserError(error.what, where=location, allowed=error.allowed, remedy=error.remedy)


def _keys(model: type[Frozen]) -> str:
    return ", ".join(model.model_fields)
