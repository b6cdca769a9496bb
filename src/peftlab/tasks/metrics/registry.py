"""Every metric by its name, with a place for new ones, and a task's scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peftlab.core.errors import UserError
from peftlab.core.registry import Registry
from peftlab.core.words import counted
from peftlab.tasks.metrics.entries import BUILT_IN
from peftlab.tasks.metrics.metric import Metric
from peftlab.tasks.metrics.own import is_own, own_metric, require_sources

if TYPE_CHECKING:
    from peftlab.core.inputs import ProblemType
    from peftlab.tasks.problem import Logits, Values
    from peftlab.tasks.spec import Task


class Metrics(Registry[Metric]):
    """The metrics by name; module:function is a user's own (own.py), which no list shows."""

    def get(self, name: str, *, where: str = "") -> Metric:
        """Return the metric of that name; raise UserError if there is none, or it may not run."""
        return (
            own_metric(name, where=where).metric if is_own(name) else super().get(name, where=where)
        )


METRICS = Metrics("metric")
for _name, _metric in BUILT_IN.items():
    METRICS.add(_name, _metric)
for _other, _name in {
    "auc": "roc_auc",
    "auroc": "roc_auc",
    "balanced": "balanced_accuracy",
    "cross_entropy": "log_loss",
    "ece": "calibration_error",
    "f1_score": "f1",
    "macro_f1": "f1_macro",
    "matthews": "matthews_correlation",
    "mcc": "matthews_correlation",
    "micro_f1": "f1_micro",
    "pr_auc": "average_precision",
    "weighted_f1": "f1_weighted",
}.items():
    METRICS.refuse(_other, f"here it is called '{_name}'")

DEFAULTS: dict[ProblemType, tuple[str, ...]] = {
    "single_label_classification": ("accuracy", "f1_macro"),
    "multi_label_classification": ("f1_micro", "f1_macro", "subset_accuracy"),
    "regression": ("pearson", "spearman"),
}
"""The metrics of a user's own task that names none."""


def score(task: Task, logits_NC: Logits, labels_N: Values) -> dict[str, float]:
    """Return the task's scores by metric, each in its unit, the main one first."""
    require_sources(task.metric_sources)
    return {name: score_of(name, task, logits_NC, labels_N) for name in task.metrics}


def score_of(name: str, task: Task, logits_NC: Logits, labels_N: Values) -> float:
    """Return the score of one metric in its unit."""
    metric = METRICS.get(name)
    predictions_1N = metric.read(logits_NC, task.problem_type)[None]
    return float(metric.scores(labels_N, predictions_1N)[0])


def require_metrics(
    names: tuple[str, ...], problem_type: ProblemType, num_labels: int, *, where: str
) -> None:
    """Raise UserError if a metric does not exist, or is for another kind of problem.

    The first one must be one that tasks can be compared by. A user's own is called once on
    made-up rows, so that what is wrong with it is known before anything is trained.
    """
    for name in names:
        if not METRICS.get(name, where=where).fits(problem_type, num_labels):
            every = {own: METRICS.get(own) for own in METRICS.names()}
            raise UserError(
                f"the metric '{name}' is not for {problem_type} with "
                f"{counted(num_labels, 'label')}",
                where=where,
                allowed=", ".join(
                    own for own, one in every.items() if one.fits(problem_type, num_labels)
                ),
            )
        if is_own(name):
            _require_score(name, problem_type, num_labels, where=where)
    why_not = METRICS.get(names[0]).why_not_main
    if why_not:
        raise UserError(
            f"'{names[0]}' cannot be the main metric: {why_not}",
            where=where,
            allowed="another metric first, this one after it",
        )


def _require_score(name: str, problem_type: ProblemType, num_labels: int, *, where: str) -> None:
    """Raise UserError if the metric has no valid score of made-up rows, each label among them."""
    from peftlab.tasks.problem import made_up_rows

    metric = METRICS.get(name, where=where)
    logits_NC, labels_N = made_up_rows(problem_type, num_labels)
    try:
        metric.scores(labels_N, metric.read(logits_NC, problem_type)[None])
    except UserError as error:
        what = f"{error.what} (tried on {len(labels_N)} made-up rows)"
        raise UserError(what, where=where, allowed=error.allowed) from error
