"""The examples on which arms disagree, with the probability that each gives to the label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from peftlab.core.errors import UserError
from peftlab.data.source import open_ref
from peftlab.report.findings.runs import Run, pooled
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Table
from peftlab.study.arms import Arm
from peftlab.tasks.problem import probabilities
from peftlab.tasks.registry import task_of
from peftlab.tasks.spec import Task

LONGEST = 400
"""The number of characters of a text that are shown."""


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """An example, with each arm's mean probability of its label over seeds, and the wrong arms."""

    row_id: int
    label: int
    probabilities: Mapping[str, float]
    wrong: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Disagreements:
    """A task's disagreements, with the largest difference of probabilities first."""

    arms: tuple[str, ...]
    num_examples: int
    examples: tuple[Disagreement, ...]


@dataclass(frozen=True, kw_only=True)
class _MeanAnswers:
    """row_ids and labels [N], and probabilities [N, C]: the mean over an arm's seeds."""

    row_ids_N: npt.NDArray[np.int64]
    labels_N: npt.NDArray[np.int64]
    probabilities_NC: npt.NDArray[np.float64]


def disagreements(view: StudyView, arms: Sequence[Arm], task: Task) -> Disagreements | None:
    """Return the examples that some arms get right and others wrong; None for less than two arms.

    An arm answers by the mean of its seeds' probabilities. Arms without predictions, or with other
    rows than the first arm's, are left out.
    """
    answers: dict[str, _MeanAnswers] = {}
    for arm in arms:
        own = _answers(view.runs(arm, task))
        first = next(iter(answers.values()), own)
        if own is not None and first is not None and _are_alike(first, own):
            answers[view.label(arm)] = own
    if len(answers) < 2 or task.problem_type != "single_label_classification":
        return None
    first = next(iter(answers.values()))
    row_ids_N, labels_N = first.row_ids_N, first.labels_N
    every = np.arange(len(labels_N))
    given_AN = np.stack([own.probabilities_NC[every, labels_N] for own in answers.values()])
    right_AN = np.stack(
        [own.probabilities_NC.argmax(axis=1) == labels_N for own in answers.values()]
    )
    differ_N = np.flatnonzero(right_AN.any(axis=0) & ~right_AN.all(axis=0))
    spread = np.ptp(given_AN[:, differ_N], axis=0)
    names = tuple(answers)
    return Disagreements(
        arms=names,
        num_examples=len(labels_N),
        examples=tuple(
            Disagreement(
                row_id=int(row_ids_N[place]),
                label=int(labels_N[place]),
                probabilities=dict(zip(names, given_AN[:, place].tolist(), strict=True)),
                wrong=tuple(
                    name for name, right in zip(names, right_AN[:, place], strict=True) if not right
                ),
            )
            for place in differ_N[np.argsort(-spread, kind="stable")]
        ),
    )


def disagreement_table(view: StudyView, arms: Sequence[Arm], task: Task, most: int) -> Table | None:
    """Return a table of the first disagreements with their texts; None if there are none."""
    found = disagreements(view, arms, task)
    if found is None or not found.examples:
        return None
    shown = found.examples[:most]
    try:
        texts, note = _texts(view, arms, task, shown), ""
    except UserError as error:
        texts, note = {}, f" The sentences are not shown: {error}."
    columns = ["row", *(task.texts if texts else ()), "label", "answered wrong by"]
    numbers = [f"p {name}" for name in found.arms]
    rows = [
        [
            str(one.row_id),
            *texts.get(one.row_id, ()),
            task.labels[one.label],
            ", ".join(one.wrong),
            *(f"{one.probabilities[name]:.2f}" for name in found.arms),
        ]
        for one in shown
    ]
    return Table(
        title=f"Where the methods disagree on {task.name}",
        columns=[*columns, *numbers],
        rows=rows,
        numbers=frozenset({"row", *numbers}),
        note=f"On {len(found.examples):,} of {found.num_examples:,} examples of "
        f"{view.scored_split} some of these arms are right and others wrong; those on which they "
        "differ most are shown. p is the probability that an arm gives to the label, the mean over "
        f"its seeds.{note}",
    )


def _answers(runs: Sequence[Run]) -> _MeanAnswers | None:
    """Return an arm's answers on a task; None where no file of its trials is there."""
    every = [pooled(run.records, of_logits=True) for run in runs if run.is_done]
    found = [one for one in every if one is not None]
    if not found:
        return None
    first = found[0]
    shares = [
        probabilities(own.predicted.astype(np.float32), "single_label_classification")
        for own in found
        if np.array_equal(own.row_ids, first.row_ids) and np.array_equal(own.labels, first.labels)
    ]
    return _MeanAnswers(
        row_ids_N=first.row_ids.astype(np.int64),
        labels_N=first.labels.astype(np.int64),
        probabilities_NC=np.mean(shares, axis=0),
    )


def _are_alike(first: _MeanAnswers, second: _MeanAnswers) -> bool:
    return np.array_equal(first.row_ids_N, second.row_ids_N) and np.array_equal(
        first.labels_N, second.labels_N
    )


def _texts(
    view: StudyView, arms: Sequence[Arm], task: Task, shown: Sequence[Disagreement]
) -> dict[int, tuple[str, ...]]:
    """Return the texts of these examples by row; raise UserError if they are gone or changed."""
    trial = next(record.trial for arm in arms for record in view.done(arm, task))
    split = "dev" if trial.fold is None else "train"
    source, named = open_ref(trial.data), task_of(trial)
    if source.ref(named).digest != trial.data.digest:
        raise UserError("the data have changed since", where=trial.data.location)
    examples = source.examples(named, split)
    return {one.row_id: tuple(_short(text) for text in examples[one.row_id].texts) for one in shown}


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
