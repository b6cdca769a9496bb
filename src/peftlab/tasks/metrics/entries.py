"""The built-in metrics: the facts about each, and the function that computes it.

The functions are imported when they are first called, so that the facts are there without NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from peftlab.tasks.metrics.metric import Metric

if TYPE_CHECKING:
    from peftlab.core.inputs import ProblemType
    from peftlab.tasks.problem import Floats


def _deferred(module: str, function: str, **given: bool) -> Callable[..., Floats]:
    """Return the function of a module beside this one, imported when it is first called."""
    return partial(_call, f"{__package__}.{module}", function, **given)


def _call(module: str, function: str, *arguments: Any, **given: bool) -> Floats:
    scores_RS: Floats = getattr(import_module(module), function)(*arguments, **given)
    return scores_RS


_ONE: tuple[ProblemType, ...] = ("single_label_classification",)
_SEVERAL: tuple[ProblemType, ...] = ("multi_label_classification",)
_BOTH = _ONE + _SEVERAL
_NUMBERS: tuple[ProblemType, ...] = ("regression",)

BUILT_IN = {
    "accuracy": Metric(
        kinds=_ONE, reads="answers", weighted=_deferred("classes", "accuracy"), is_share=True
    ),
    "f1": Metric(kinds=_ONE, reads="answers", weighted=_deferred("classes", "f1"), is_binary=True),
    "f1_macro": Metric(
        kinds=_BOTH,
        reads="answers",
        weighted=_deferred("classes", "f1_macro"),
        chance=_deferred("classes", "f1_macro", is_by_chance=True),
    ),
    "f1_weighted": Metric(
        kinds=_BOTH,
        reads="answers",
        weighted=_deferred("classes", "f1_weighted"),
        chance=_deferred("classes", "f1_weighted", is_by_chance=True),
    ),
    "f1_micro": Metric(kinds=_SEVERAL, reads="answers", weighted=_deferred("classes", "f1_micro")),
    "subset_accuracy": Metric(
        kinds=_SEVERAL,
        reads="answers",
        weighted=_deferred("classes", "subset_accuracy"),
        is_share=True,
    ),
    "matthews_correlation": Metric(
        kinds=_ONE,
        reads="answers",
        weighted=_deferred("classes", "matthews_correlation"),
        lowest=-1.0,
    ),
    "precision": Metric(
        kinds=_ONE, reads="answers", weighted=_deferred("precision", "precision"), is_binary=True
    ),
    "recall": Metric(
        kinds=_ONE,
        reads="answers",
        weighted=_deferred("precision", "recall"),
        is_binary=True,
        why_not_main="a model that answers class 1 throughout has a recall of 100",
    ),
    "precision_macro": Metric(
        kinds=_BOTH,
        reads="answers",
        weighted=_deferred("precision", "precision_macro"),
        chance=_deferred("precision", "precision_macro", is_by_chance=True),
    ),
    "recall_macro": Metric(
        kinds=_BOTH, reads="answers", weighted=_deferred("precision", "recall_macro")
    ),
    "balanced_accuracy": Metric(
        kinds=_ONE, reads="answers", weighted=_deferred("precision", "balanced_accuracy")
    ),
    "roc_auc": Metric(kinds=_BOTH, weighted=_deferred("ranking", "roc_auc")),
    "average_precision": Metric(
        kinds=_BOTH,
        weighted=_deferred("ranking", "average_precision"),
        chance=_deferred("ranking", "average_precision_by_chance"),
    ),
    "log_loss": Metric(
        kinds=_BOTH,
        weighted=_deferred("losses", "log_loss"),
        highest=float("inf"),
        greater_is_better=False,
        unit="nats",
        why_not_main="it is in nats, and margins and verdicts are in points; brier is a proper "
        "loss in points",
    ),
    "brier": Metric(kinds=_BOTH, weighted=_deferred("losses", "brier"), greater_is_better=False),
    "calibration_error": Metric(
        kinds=_ONE,
        weighted=_deferred("losses", "calibration_error"),
        greater_is_better=False,
        why_not_main="a model that gives every row the shares of the labels has none",
    ),
    "pearson": Metric(
        kinds=_NUMBERS,
        reads="answers",
        weighted=_deferred("correlations", "pearson"),
        lowest=-1.0,
    ),
    "spearman": Metric(
        kinds=_NUMBERS,
        reads="answers",
        weighted=_deferred("correlations", "spearman"),
        lowest=-1.0,
    ),
}
