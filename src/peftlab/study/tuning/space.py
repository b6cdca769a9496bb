"""The space of a search: a range or a choice of each setting, with defaults for every method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, JsonValue, ValidationError

from peftlab.core.errors import UnknownNameError, UserError
from peftlab.core.training import TrainingSettings
from peftlab.core.validation import Frozen, YesNo, complaint_of
from peftlab.methods.registry import METHODS
from peftlab.study.arms import Arm
from peftlab.study.spec import TRAINING_NAMES, StudySpec

RATES: Mapping[str, tuple[float, float]] = {
    "full": (5e-6, 2e-4),
    "bitfit": (1e-4, 1e-2),
    "bitfit-frozen-head": (1e-4, 1e-2),
    "head": (1e-4, 1e-1),
}
"""The learning rates by method: about a factor of ten around those of its authors."""
ADAPTER_RATES = (5e-5, 5e-3)
"""Learning rates of every other method whose own rate lies in between: adapters want about ten
times the rate of full fine-tuning. For the others it is a factor of ten around their own."""
SETTINGS: Mapping[str, JsonValue] = {
    "r": [4, 8, 16, 32],
    "lora_dropout": {"low": 0.0, "high": 0.2},
}
"""The settings that are searched in every method that has them."""
FORMS = "a list of values, {low, high}, {low, high, log: true}, or one value"


Number = int | Annotated[float, Field(allow_inf_nan=False)]


class Range(Frozen):
    """A range: every number from `low` to `high`, both included; whole ones if both are whole."""

    low: Number
    high: Number
    log: YesNo = False

    @property
    def is_whole(self) -> bool:
        """Return whether only whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[JsonValue, ...]:
        """The values that must be valid for all values to be valid."""
        return self.low, self.high

    def of_floats(self) -> Range:
        """Return the range of all numbers between the ends, even if its own are only the whole
        ones."""
        return self.model_copy(update={"low": float(self.low), "high": float(self.high)})

    def holds(self, value: JsonValue) -> bool:
        """Return whether the value is one of them."""
        if isinstance(value, bool) or not isinstance(value, int if self.is_whole else int | float):
            return False
        return self.low <= value <= self.high


class Choice(Frozen):
    """A choice among these values."""

    values: tuple[JsonValue, ...]

    @property
    def ends(self) -> tuple[JsonValue, ...]:
        """The values whose validity must be checked: all of them."""
        return self.values

    def holds(self, value: JsonValue) -> bool:
        """Return whether the value is one of them."""
        return value in self.values


Dimension = Range | Choice
Space = Mapping[str, Dimension]


def space_of(spec: StudySpec, arm: Arm, task: str) -> dict[str, Dimension]:
    """Return the search space of an arm on a task, by setting.

    The arm's own `tune` comes before the study's `tune.space`, and that before the defaults: the
    learning rate, the number of epochs up to that of the study file, and rank and dropout where
    the method has them and the arm does not set them. A setting of the study's space that the
    arm's method lacks is not searched for it. Raises UserError for what is wrong with any of it.
    """
    given = {} if spec.tune is None else spec.tune.space
    own = spec.arms[arm.base].tune
    method = METHODS.get(arm.method)
    defaults = {**TrainingSettings().model_dump(), **method.settings()}
    where, own_where = f"{spec.name}: tune.space", f"{spec.name}: arms.{arm.base}.tune"
    _check_names(spec, where)
    for key in own:
        if key not in defaults:
            raise UnknownNameError("setting", key, defaults, where=own_where)
    space: dict[str, Dimension] = {}
    for key, value in {**_defaults(spec, arm, task), **given, **own}.items():
        if key not in defaults:
            continue
        location = f"{own_where if key in own else where}.{key}"
        if key in arm.swept:
            if key in own or key in given:
                raise UserError(f"'{key}' is both swept and searched", where=location)
            continue
        dimension = _dimension(value, task, location)
        if isinstance(dimension, Range) and isinstance(defaults[key], float):
            dimension = dimension.of_floats()
        _check(arm, task, key, dimension, location)
        space[key] = dimension
    return space


def _check_names(spec: StudySpec, where: str) -> None:
    """Raise UnknownNameError for a setting of the study's space that no arm has."""
    methods = [METHODS.get(arm.method) for arm in spec.arms.values()]
    known = {*TRAINING_NAMES, *(key for method in methods for key in method.settings())}
    for key in () if spec.tune is None else spec.tune.space:
        if key not in known:
            raise UnknownNameError("setting", key, known, where=where)


def _defaults(spec: StudySpec, arm: Arm, task: str) -> dict[str, JsonValue]:
    low, high = RATES.get(arm.method, ADAPTER_RATES)
    own = METHODS.get(arm.method).learning_rate
    if own is not None and not low < own < high:
        low, high = own / 10, own * 10
    found: dict[str, JsonValue] = {"learning_rate": {"low": low, "high": high, "log": True}}
    training = arm.training[task]
    if training.max_steps < 1:
        most = training.num_train_epochs
        least = (most + 1) // 2 if isinstance(most, int) else most / 2
        found["num_train_epochs"] = {"low": least, "high": most}
    settings = METHODS.get(arm.method).settings()
    fixed = spec.arms[arm.base].settings
    if settings.get("r") == 0:  # as OFT's: it follows from another setting
        del settings["r"]
    return found | {k: v for k, v in SETTINGS.items() if k in settings and k not in fixed}


def _dimension(given: JsonValue, task: str, where: str) -> Dimension:
    """Return the dimension that a value of the study file means; raise UserError if it is
    invalid."""
    if isinstance(given, list):
        if not given:
            raise UserError("an empty list has nothing to try", where=where, allowed=FORMS)
        return Choice(values=tuple(given))
    if not isinstance(given, dict):
        return Choice(values=(given,))
    if not {"low", "high"} & set(given):
        if task not in given:
            raise UserError(f"no value for the task '{task}'", where=where, allowed=FORMS)
        return _dimension(given[task], task, f"{where}.{task}")
    try:
        dimension = Range.model_validate(given, strict=True)
    except ValidationError as error:
        complaint = complaint_of(error)
        raise complaint.refusal(where=f"{where}.{complaint.path[0]}", allowed=FORMS) from error
    if not dimension.low <= dimension.high:
        raise UserError(
            f"low is {dimension.low:g}, high {dimension.high:g}", where=where, allowed="low <= high"
        )
    if dimension.log and dimension.low <= 0:
        raise UserError(
            f"a logarithmic range cannot begin at {dimension.low:g}", where=where, allowed="low > 0"
        )
    return dimension


def _check(arm: Arm, task: str, key: str, dimension: Dimension, where: str) -> None:
    """Raise UserError if the training or the method does not accept all values to be tried."""
    for value in dimension.ends:
        if key in TRAINING_NAMES:
            try:
                TrainingSettings.model_validate({**arm.training[task].model_dump(), key: value})
            except ValidationError as error:
                raise complaint_of(error).refusal(where=where) from error
        else:
            METHODS.get(arm.method).resolve({**arm.method_config, key: value}, where=where)
