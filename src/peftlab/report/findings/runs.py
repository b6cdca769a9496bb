"""The runs of an arm on a task: one for each seed, of one trial or one trial per fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from peftlab.data.predictions import Predictions
from peftlab.stats.outcomes import FoldedExamples, Outcomes
from peftlab.store.records import TrialRecord
from peftlab.store.rows import damaged
from peftlab.study.stored_predictions import answers_of, predictions_of
from peftlab.tasks.metrics.registry import METRICS
from peftlab.tasks.problem import Predicted, Values


@dataclass(frozen=True, kw_only=True)
class Run:
    """The trials of one seed, in the order of their folds."""

    seed: int
    records: tuple[TrialRecord, ...]

    @property
    def is_done(self) -> bool:
        """Whether all of its trials exist and are done."""
        fold = self.records[0].trial.fold
        is_whole = fold is None or len(self.records) == fold.of
        return is_whole and all(record.status == "done" for record in self.records)

    @property
    def is_failed(self) -> bool:
        """Whether any of its trials has failed."""
        return any(record.status == "failed" for record in self.records)

    def score(self, metric: str, *, best: bool = False) -> float:
        """Return the mean of its trials' reported or best scores, weighted by scored rows."""
        every = [record.best_scores if best else record.scores for record in self.records]
        weights = [record.num_eval_examples or 1 for record in self.records]
        return float(np.average([scores[metric] for scores in every], weights=weights))


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """The predictions of a run on all examples, in the order of their rows.

    `fold_N` is the number of each example's fold, from 1; None without folds.
    """

    row_ids: Values
    labels: Values
    predicted: Predicted
    fold_N: Values | None


def runs_of(records: Sequence[TrialRecord]) -> tuple[Run, ...]:
    """Return the runs formed by an arm's trials on a task, in the order of their first trials."""
    by_seed: dict[int, list[TrialRecord]] = {}
    for record in records:
        by_seed.setdefault(record.trial.seed, []).append(record)
    return tuple(
        Run(seed=seed, records=tuple(sorted(own, key=_fold_number)))
        for seed, own in by_seed.items()
    )


def outcomes_of(runs: Sequence[Run], metric: str) -> tuple[Pooled, Outcomes] | None:
    """Return the first run's rows and the answers of all runs for them, for a metric.

    It is None if any run's predictions are gone, or if there is no run. Raises UserError if the
    runs are not on the same examples. Logits are read only if the metric needs them, since that
    takes several times as long.
    """
    found = [pooled(run.records, of_logits=METRICS.get(metric).reads == "logits") for run in runs]
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found):
        return None
    first = known[0]
    for one, run in zip(known, runs, strict=True):
        if not all(
            np.array_equal(getattr(one, name), getattr(first, name))
            for name in ("row_ids", "labels", "fold_N")
        ):
            where = str(run.records[0].predictions_path)
            raise damaged("not the examples of the arm's other seeds", where)
    folds = None
    if first.fold_N is not None:
        folds = FoldedExamples(fold_N=first.fold_N.astype(np.int16), test_share=_test_share(runs))
    outcomes = Outcomes(
        metric=metric,
        labels_N=first.labels,
        predictions_SN=np.stack([one.predicted for one in known]),
        seeds=tuple(run.seed for run in runs),
        folds=folds,
    )
    return first, outcomes


def pooled(records: Sequence[TrialRecord], *, of_logits: bool) -> Pooled | None:
    """Return the pooled predictions of a run's trials; None if any of them are missing."""
    read = [predictions_of(one) if of_logits else answers_of(one) for one in records]
    parts = [one for one in read if one is not None]
    if len(parts) < len(read):
        return None
    row_ids = np.concatenate([one.row_ids for one in parts])
    fold_N = None
    order: slice | Values = slice(None)
    if records[0].trial.fold is not None:
        fold_N = np.repeat(
            [_fold_number(one) for one in records], [len(one.labels) for one in parts]
        )
        order = np.argsort(row_ids, kind="stable")
        if len(np.unique(row_ids)) < len(row_ids):
            raise damaged("a row is in two folds", str(records[0].predictions_path))
    predicted = [one.logits if isinstance(one, Predictions) else one.predicted for one in parts]
    return Pooled(
        row_ids=row_ids[order],
        labels=np.concatenate([one.labels for one in parts])[order],
        predicted=np.concatenate(predicted)[order],
        fold_N=None if fold_N is None else fold_N[order],
    )


def folds_note(by_place: Mapping[tuple[str, str], Sequence[TrialRecord]]) -> str:
    """Return the words for the number of runs with all of their folds; "" without folds."""
    runs = [run for records in by_place.values() for run in runs_of(records)]
    folds = {fold.of for run in runs if (fold := run.records[0].trial.fold) is not None}
    if not folds:
        return ""
    done = sum(run.is_done for run in runs)
    return f"{done:,} of {len(runs):,} runs have all {max(folds)} folds"


def _fold_number(record: TrialRecord) -> int:
    return record.trial.fold.number if record.trial.fold is not None else 0


def _test_share(runs: Sequence[Run]) -> float:
    """Return the ratio of the rows on which a trial is scored to those on which it trains."""
    records = [record for run in runs for record in run.records]
    num_scored = sum(record.num_eval_examples or 0 for record in records)
    num_trained = sum(record.num_train_examples or 0 for record in records)
    if num_scored and num_trained:
        return num_scored / num_trained
    return 1 / (len(runs[0].records) - 1)
