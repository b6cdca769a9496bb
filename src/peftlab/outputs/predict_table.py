"""Rows with named columns, each under its own trial or under all of several.

A row keeps its columns. Behind them come `trial`, where several trials answer every row,
`prediction`, the number of the class (of several labels 0 or 1 for each, of a regression the
score), `predicted_label`, its name, and `p(NAME)`, a probability rounded to six digits, for every
label that any of the trials has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from peftlab.core.errors import UserError
from peftlab.core.inputs import ProblemType
from peftlab.data.file_bytes import format_of
from peftlab.data.read_options import AS_FOUND, ReadOptions
from peftlab.data.row_files import (
    Row,
    Write,
    read_rows,
    require_columns,
    row_writer,
    text_writer,
)
from peftlab.engine.predict import Predictor
from peftlab.outputs.predict import Prediction, predict_texts
from peftlab.store.records import TrialRecord
from peftlab.store.workspace import Workspace
from peftlab.tasks.registry import task_of

DIGITS = 6
TRIAL = "trial"
VALUES: dict[ProblemType, type] = {
    "single_label_classification": int,
    "multi_label_classification": list,
    "regression": float,
}
"""The type of the column `prediction`."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer of one trial for one row; `texts` are those of the row's columns that it read."""

    row: Row
    texts: tuple[str, ...]
    record: TrialRecord
    prediction: Prediction


@dataclass(frozen=True, kw_only=True)
class Question:
    """The trials that answer a row, and the columns of its texts.

    `trials` by the name under which a row, in its column `trial_column`, asks for one; without
    such a column all of them answer every row. `columns` hold the texts; None: those that are
    called as the trial's task calls its texts.
    """

    trials: Mapping[str, TrialRecord]
    trial_column: str | None = None
    columns: tuple[str, ...] | None = None

    @property
    def added(self) -> dict[str, type]:
        """The columns that an answer adds to a row, with their types."""
        several = self.trial_column is None and len(self.trials) > 1
        tasks = [task_of(record.trial) for record in self.trials.values()]
        labels = [label for task in tasks for label in task.labels]
        return {
            **({TRIAL: str} if several else {}),
            "prediction": VALUES[tasks[0].problem_type],
            **({"predicted_label": str} if labels else {}),
            **{f"p({label})": float for label in labels},
        }

    def texts(self, row: Row, record: TrialRecord, where: str) -> tuple[str, ...]:
        """Return the row's texts for that trial; raise UserError if a column is missing or no
        text."""
        names = self.columns or task_of(record.trial).texts
        require_columns(row, names, where=where)
        for name in names:
            if not isinstance(row[name], str):
                raise UserError(f"{row[name]!r} is not text", where=f"{where}: column '{name}'")
        return tuple(row[name] for name in names)


def answers_by_part(
    question: Question,
    parts: Iterable[Sequence[Row]],
    *,
    predictor: Predictor,
    where: str = "",
) -> Iterator[list[Answer]]:
    """Yield the answers to each part of the rows, by row and then by trial.

    A trial classifies its rows of a part together, with the same answers as one at a time. Raises
    UserError, with the row's number, for a row that cannot be read.
    """
    first = 1
    for rows in parts:
        asked: dict[str, list[int]] = defaultdict(list)
        for index, row in enumerate(rows):
            for key in _asked(question, row, f"{where}: row {first + index}"):
                asked[key].append(index)
        found: list[list[Answer]] = [[] for _ in rows]
        known: dict[tuple[tuple[str, ...], ...], list[tuple[str, ...]]] = {}
        for key in question.trials:
            record = question.trials[key]
            texts = [
                question.texts(rows[index], record, f"{where}: row {first + index}")
                for index in asked[key]
            ]
            # Equal rows are the same object, which the predictor encodes once.
            texts = known.setdefault(tuple(texts), texts)
            predictions = predict_texts(record, texts, predictor=predictor)
            for index, own, prediction in zip(asked[key], texts, predictions, strict=True):
                found[index].append(
                    Answer(row=rows[index], texts=own, record=record, prediction=prediction)
                )
        yield [answer for own in found for answer in own]
        first += len(rows)


def as_row(answer: Answer, question: Question) -> Row:
    """Return the row with the added columns."""
    added = question.added
    value = answer.prediction.value
    values: Row = {
        TRIAL: answer.record.trial.id,
        "prediction": list(value) if isinstance(value, tuple) else value,
        "predicted_label": answer.prediction.label,
    }
    for label, probability in answer.prediction.probabilities.items():
        values[f"p({label})"] = round(probability, DIGITS)
    return answer.row | {name: values.get(name) for name in added}


def question_of(
    workspace: Workspace,
    path: Path,
    trials: Sequence[str],
    *,
    trial_column: str | None = None,
    columns: Sequence[str] | None = None,
    options: ReadOptions = AS_FOUND,
) -> Question:
    """Return the question that these trials answer for a file's rows.

    Without trials, the column `trial_column` (or "trial") of each row names its own. UserError
    where both or neither are given, for an unknown trial, and for a column that is not there.
    """
    if trials:
        if trial_column is not None:
            raise UserError(
                "both trials and a column that names them are given", where="--trial-column",
                allowed="one of the two",
            )  # fmt: skip
        records = [workspace.trial(name) for name in trials]
        by_id = {record.trial.id: record for record in records}
        return Question(trials=by_id, columns=tuple(columns) if columns else None)
    name = trial_column or TRIAL
    if format_of(path).ending == ".txt":
        raise UserError(
            f"a .txt has no column '{name}'", where=str(path), allowed="TRIAL, or a table that has"
        )
    named: dict[str, TrialRecord] = {}
    first = 1
    for rows in read_rows(path, options=options):
        for number, row in enumerate(rows, start=first):
            where = f"{path}: row {number}"
            require_columns(row, [name], where=where)
            key = row[name]
            if not isinstance(key, str):
                raise UserError(f"{key!r} is not a trial's id", where=f"{where}: column '{name}'")
            if key not in named:
                named[key] = workspace.trial(key)
        first += len(rows)
    return Question(trials=named, trial_column=name, columns=tuple(columns) if columns else None)


def write_answers(
    question: Question,
    parts: Iterable[list[Row]],
    target: Path | Callable[[str], object],
    *,
    predictor: Predictor,
    where: str,
    like: Path | None = None,
) -> Iterator[int]:
    """Write the rows with their answers, and report after each part how many rows are done.

    To a file, which is there at the end, whole, or not at all, or as TSV to a call that takes
    text. `like` is the file that the rows come from: Parquet's types are kept in Parquet, and it
    is never the one that is written.
    """
    if isinstance(target, Path) and like is not None:
        _require_other_file(like, target)
    rest = iter(parts)
    first = next(rest)
    columns = _columns(first[0], question, where)
    num_rows = 0
    with _writer(target, columns, like) as write:
        every = answers_by_part(question, chain([first], rest), predictor=predictor, where=where)
        for part in every:
            write([as_row(answer, question) for answer in part])
            num_rows += len({id(answer.row) for answer in part})
            yield num_rows


def _require_other_file(source: Path, target: Path) -> None:
    """Raise UserError if the output would replace the file that is read, by any name."""
    try:
        is_same = source.samefile(target)
    except OSError:  # one of them is not there
        is_same = source.absolute() == target.absolute()
    if is_same:
        raise UserError(
            "this would replace the file that is read", where=str(target),
            remedy="another name for the output",
        )  # fmt: skip


def text_names(question: Question) -> tuple[str, ...]:
    """Return the names for the columns of a file without a header."""
    first = next(iter(question.trials.values()))
    return question.columns or task_of(first.trial).texts


def _columns(row: Row, question: Question, where: str) -> dict[str, type]:
    """Return all columns of an answered table whose first row this is, with their types."""
    added = question.added
    for name in added:
        if name in row:
            raise UserError(
                f"the column '{name}' is there already", where=where, remedy="another name for it"
            )
    return {name: type(value) for name, value in row.items()} | added


@contextmanager
def _writer(
    target: Path | Callable[[str], object], columns: Mapping[str, type], like: Path | None
) -> Iterator[Write]:
    if isinstance(target, Path):
        with row_writer(target, columns, like) as write:
            yield write
    else:
        yield text_writer(".tsv", [*columns], target)


def _asked(question: Question, row: Row, where: str) -> Iterable[str]:
    if question.trial_column is None:
        return question.trials
    require_columns(row, [question.trial_column], where=where)
    return [row[question.trial_column]]
