"""`peftlab predict`: classify text with trained trials."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from peftlab.cli import completion, options, printing
from peftlab.core.errors import UserError
from peftlab.core.process import quiet_libraries
from peftlab.core.progress import stage
from peftlab.core.words import counted

if TYPE_CHECKING:
    from peftlab.data.read_options import ReadOptions
    from peftlab.data.row_files import Row
    from peftlab.outputs.predict_table import Answer, Question
    from peftlab.store.workspace import Workspace

NAME = "predict"
EXAMPLE = (
    'Example: peftlab predict 3f2a --text "a warm and funny film"; or of a whole table, under two '
    "trials: peftlab predict 3f2a 9c01 --file reviews.csv --output answered.parquet"
)


def command(
    trials: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TRIAL]...",
            help="Ids of trials, or their first digits.",
            autocompletion=completion.trials,
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option("--text", help="The text; twice for a task with pairs."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            metavar="IN",
            help="A table: .csv, .tsv, .xlsx, .jsonl, .json or .parquet, text also packed as .gz; "
            "or a .txt, a row a line, a tab between the texts of a pair.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="OUT",
            help="The .csv, .tsv, .jsonl or .parquet to write; or stdout.",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="The columns with the texts, comma-separated; else those named as the task's."
        ),
    ] = None,
    trial_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The column that names the trial of each row, instead of TRIAL."
        ),
    ] = None,
    sep: options.Sep = None,
    encoding: options.Encoding = None,
    sheet: options.Sheet = None,
    model: options.MovedModel = None,
    device: options.Device = "auto",
    workspace: options.Workspace = options.DEFAULT_WORKSPACE,
    as_json: options.Json = False,
) -> int:
    """Classify text: one row by --text, or all rows of a file, with every TRIAL.

    With --trial-column, each row is classified by the trial that the column names ('trial' if no
    TRIAL is given). The columns of a table are kept; prediction, label and probabilities are added.
    """
    from peftlab.store.workspace import Workspace

    if (text is None) == (file is None):
        raise UserError("give --text or --file" + ", not both" * (file is not None))
    read_as = options.reading(file, sep, encoding, sheet)
    with Workspace.open(workspace, create=False) as opened:
        question = _question(
            opened, trials or [], file, trial_column, options.comma_list(columns), read_as
        )
    quiet_libraries()
    from peftlab.data.encodings import WESTERN
    from peftlab.data.read_options import guessed_example
    from peftlab.engine.predict import Predictor
    from peftlab.outputs.predict_table import answers_by_part, text_names, write_answers

    predictor = Predictor(device=device, places=model or ())
    predictor.device.make_ready()
    where = "--text" if file is None else str(file)
    parts = _parts(text, file, text_names(question), read_as)
    example = None if file is None else guessed_example(file, read_as)
    if example is not None:
        printing.remark(f"remark: {file}: not UTF-8; read as {WESTERN} it gives '{example}'")
    if as_json and output is None:
        found = answers_by_part(question, parts, predictor=predictor, where=where)
        printing.print_json([_object(answer, question) for part in found for answer in part])
        return printing.DONE
    num_rows = 0
    with stage("classifying", unit="rows") as classifying:
        for num_rows in write_answers(
            question, parts, output or sys.stdout.write,
            predictor=predictor, where=where, like=file,
        ):  # fmt: skip
            classifying.reach(num_rows)
    if as_json:
        ids = [record.trial.id for record in question.trials.values()]
        printing.print_json({"output": str(output), "rows": num_rows, "trials": ids})
    return printing.DONE


def _question(
    workspace: Workspace,
    trials: list[str],
    file: Path | None,
    trial_column: str | None,
    columns: list[str] | None,
    read_as: ReadOptions,
) -> Question:
    from peftlab.outputs.predict_table import Question, question_of

    if file is not None:
        return question_of(
            workspace, file, trials, trial_column=trial_column, columns=columns, options=read_as
        )
    if not trials or trial_column or columns:
        what = "--text needs a TRIAL" if not trials else "--text has no columns"
        raise UserError(what, where="predict", allowed="TRIAL --text TEXT")
    records = [workspace.trial(name) for name in trials]
    return Question(trials={record.trial.id: record for record in records})


def _parts(
    text: list[str] | None, file: Path | None, names: Sequence[str], read_as: ReadOptions
) -> Iterable[list[Row]]:
    from peftlab.data.row_files import read_rows

    if file is not None:
        return read_rows(file, names=names, options=read_as)
    assert text is not None
    if len(text) != len(names):
        raise UserError(
            f"a row of this task has {counted(len(names), 'text')}, this one has {len(text)}",
            where="--text", allowed=", ".join(names),
        )  # fmt: skip
    return [[dict(zip(names, text, strict=True))]]


def _object(answer: Answer, question: Question) -> dict[str, Any]:
    """Return the object of `--json` for an answer."""
    several = len(question.trials) > 1 or question.trial_column is not None
    prediction = answer.prediction
    value: dict[str, Any] = {"label": prediction.label}
    if isinstance(prediction.value, tuple):
        value = {"labels": prediction.labels}
    elif isinstance(prediction.value, float):
        value = {"score": prediction.value}
    return {
        **({"trial": answer.record.trial.id} if several else {}),
        "texts": answer.texts,
        **value,
        "probabilities": dict(prediction.probabilities),
    }
