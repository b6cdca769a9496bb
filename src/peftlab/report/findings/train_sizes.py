"""Scores against the number of training rows, and what is expected of twice as many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from peftlab.core.identity import derived_seed
from peftlab.core.words import counted
from peftlab.report.findings.view import StudyView
from peftlab.stats.noise import Noise, noise_of
from peftlab.stats.power_law import MeanAtSize, NoPrediction, Prediction, predicted
from peftlab.stats.summary import Summary
from peftlab.study.arms import Arm
from peftlab.tasks.metrics.registry import METRICS
from peftlab.tasks.scores import sign_of
from peftlab.tasks.spec import Task


@dataclass(frozen=True, kw_only=True)
class PointOfCurve:
    """An arm's score on a task after training on `num_rows` rows, which `words` name."""

    num_rows: float
    words: str
    summary: Summary
    view: StudyView


def views_by_size(view: StudyView) -> list[StudyView]:
    """Return the views of the study's sizes, that of the most rows last."""
    return [*view.smaller.values(), view]


def size_words(view: StudyView, task: Task) -> str:
    """Return the number of training rows of a size's view, in words, for one task."""
    trials = (record.trial for arm in view.arms for record in view.of(arm, task))
    return next((trial.train_size_words for trial in trials), "all")


def num_rows(view: StudyView, arms: Sequence[Arm], task: Task) -> float | None:
    """Return the rows that trials of a size's view were trained on; None where none is done.

    With folds it is the mean over them. What a selection holds out is not among the rows.
    """
    numbers = [
        record.num_train_examples
        for arm in arms
        for record in view.done(arm, task)
        if record.num_train_examples
    ]
    return fmean(numbers) if numbers else None


def curve(view: StudyView, arm: Arm, task: Task) -> list[PointOfCurve]:
    """Return the scores of an arm on a task, one for each size of which a run is done."""
    found = []
    for own in views_by_size(view):
        summary, number = own.summary(arm, task), num_rows(own, [arm], task)
        if summary is not None and number is not None:
            words = counted(round(number), "row")
            found.append(PointOfCurve(num_rows=number, words=words, summary=summary, view=own))
    return found


def expected_on_twice(view: StudyView, arm: Arm, task: Task) -> Prediction | NoPrediction:
    """Return the arm's expected score on twice the largest number of rows, or why there is none."""
    points = curve(view, arm, task)
    noises: list[Noise] = []
    merits: list[float] = []
    for point in points:
        resampled = point.view.statistics.resampled(arm.name, task)
        if resampled is None:
            return NoPrediction(reason="predictions are gone")
        noises.append(noise_of(resampled))
        merits.append(sign_of(task.main_metric) * point.summary.mean)
    if not points:
        return NoPrediction(reason="no run is done")
    means = [
        _mean_at(point.num_rows, merit, noise)
        for point, merit, noise in zip(points, merits, noises, strict=True)
    ]
    metric = METRICS.get(task.main_metric)
    sign = sign_of(task.main_metric)
    ids = [record.trial.id for point in points for record in point.view.done(arm, task)]
    found = predicted(
        means,
        2 * points[-1].num_rows,
        examples=0.0 if noises[-1].folds else noises[-1].examples,
        best=max(sign * metric.highest_score, sign * metric.lowest_score),
        generator=np.random.default_rng(derived_seed(0, "twice", task.name, *ids)),
    )
    if isinstance(found, NoPrediction) or sign > 0:
        return found
    return Prediction(num_rows=found.num_rows, merit=-found.merit, low=-found.high, high=-found.low)


def _mean_at(number: float, merit: float, noise: Noise) -> MeanAtSize:
    """Return the mean with its error by the runs: the folds, where there are such, or the seeds."""
    if noise.folds is not None:
        variance, num_runs = noise.folds.variance(noise.examples), noise.folds.num_folds
    else:
        variance = sum(group.variance / group.num_seeds for group in noise.seeds)
        num_runs = min((group.num_seeds for group in noise.seeds), default=1)
    return MeanAtSize(num_rows=number, merit=merit, error=math.sqrt(variance), num_seeds=num_runs)
