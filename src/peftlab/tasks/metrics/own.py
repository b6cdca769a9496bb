"""A user's own metric, `module:function`, which runs only with a flag of the command.

The function gets (labels, predictions) and returns a number from 0 to 1, more being better. Labels
are int64 [N] of classes, float64 [N] of a regression, or int64 [N, C] of 0 and 1 for each label;
predictions are answers in the same form, or float32 logits [N, C] where the function has the
attribute `reads = "logits"`. The module is imported from the folder that the command runs in, or
from where Python finds it.
"""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from peftlab.core.errors import UserError, one_line
from peftlab.core.identity import file_sha256
from peftlab.core.inputs import ProblemType
from peftlab.core.process import TRUST_METRICS, trusts_own_metrics
from peftlab.core.scores import ON
from peftlab.tasks.metrics.metric import Metric, Reads

if TYPE_CHECKING:
    from peftlab.tasks.problem import Predicted, Values

MARK = ":"
KINDS: tuple[ProblemType, ...] = get_args(ProblemType)
LONGEST = 200
"""The most characters of a function's own error that are shown."""
FORM = "module:function, in which the module is a file here or can be imported"
VALUES = "a number from 0 to 1, more being better"


@dataclass(frozen=True, kw_only=True)
class OwnMetric:
    """A function as a metric, and the SHA-256 of the file that defines it."""

    metric: Metric
    source: str


def is_own(name: str) -> bool:
    """Return whether a metric of that name is a user's own function."""
    return MARK in name


def own_metric(name: str, *, where: str = "") -> OwnMetric:
    """Return the function as a metric; raise UserError if it may not run or cannot be found."""
    if not trusts_own_metrics():
        raise UserError(
            f"the metric '{name}' is code, which a study alone may not run",
            where=where,
            remedy=f"peftlab --trust-metrics, or {TRUST_METRICS}=1, if you trust the code: it runs "
            "with all your rights",
        )
    try:
        return _imported(name, str(Path.cwd()))
    except UserError as error:
        raise UserError(str(error), where=where, allowed=FORM) from error


def sources_of(names: Iterable[str], *, where: str = "") -> tuple[tuple[str, str], ...]:
    """Return each of the user's own metrics among these with the SHA-256 of its source."""
    return tuple((name, own_metric(name, where=where).source) for name in names if is_own(name))


def require_sources(sources: Iterable[tuple[str, str]], *, where: str = "") -> None:
    """Raise UserError if the source of a metric has changed since these scores were computed."""
    for name, source in sources:
        if own_metric(name).source != source:
            raise UserError(
                f"the source of the metric '{name}' has changed: it is not the one (SHA-256 "
                f"{source[:12]}) that these scores are by",
                where=where,
                remedy="put the old file back; or `peftlab run` again, which makes new trials",
            )


@lru_cache
def _imported(name: str, folder: str) -> OwnMetric:
    """Return the function of that name, from a module in the folder or on Python's path."""
    module_name, _, function_name = name.partition(MARK)
    if not module_name or not function_name.isidentifier() or ON in name:
        raise UserError(f"'{name}' names no function" + f" (none may hold '{ON}')" * (ON in name))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        function = getattr(importlib.import_module(module_name), function_name)
        file = inspect.getsourcefile(inspect.unwrap(function))
    except Exception as error:  # whatever the module does as it is imported
        raise UserError(f"cannot import the metric '{name}': {_error_words(error)}") from error
    reads: Any = getattr(function, "reads", "answers")
    if not callable(function) or file is None or reads not in get_args(Reads):
        raise UserError(
            f"'{name}' is not a function in a file, or reads neither answers nor logits"
        )
    metric = Metric(kinds=KINDS, reads=reads, measure=_guarded(name, function))
    return OwnMetric(metric=metric, source=file_sha256(Path(file)))


def _guarded(name: str, function: Callable[..., Any]) -> Callable[[Predicted, Values], float]:
    """Return the function in the form in which a metric calls it: what fails, or is no number, is
    a UserError."""

    def measure(predictions: Predicted, labels: Values) -> float:
        try:
            given = function(labels.copy(), predictions.copy())
        except Exception as error:  # whatever the function raises
            raise UserError(
                f"the metric '{name}' failed: {_error_words(error)}", allowed=VALUES
            ) from error
        try:
            value = float(given)
        except Exception as error:  # whatever the value's own class raises
            shown = one_line(repr(given), length=LONGEST)
            raise UserError(f"the metric '{name}' returned {shown}", allowed=VALUES) from error
        if not (math.isfinite(value) and 0 <= value <= 1):
            raise UserError(f"the metric '{name}' returned {value:g}", allowed=VALUES)
        return value

    return measure


def _error_words(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}", length=LONGEST)
