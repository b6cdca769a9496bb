"""`peftlab new`: a study to start from, for a person's own file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from peftlab.cli import options, printing
from peftlab.core.errors import UserError

if TYPE_CHECKING:
    from peftlab.core.inputs import MissingPolicy

NAME = "new"
EXAMPLE = "Example: peftlab new my-study.yaml --data train.csv"


def command(
    study: Annotated[Path, typer.Argument(help="The file to write; its ending is .yaml.")],
    data: options.RowsToTrainOn,
    dev: options.RowsToScoreOn = None,
    text: options.TextColumns = None,
    label: options.LabelColumns = None,
    folds: Annotated[
        int | None, typer.Option(help="Score by cross-validation with so many folds, as 5.")
    ] = None,
    model: options.Checkpoint = None,
    sep: options.Sep = None,
    encoding: options.Encoding = None,
    sheet: options.Sheet = None,
    missing: options.MissingCells = "error",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    as_json: options.Json = False,
) -> int:
    """Inspect your own data file, and write a study that is ready to run.

    What was guessed, and why, is shown and stands in the study as comments.
    """
    from peftlab.core.files import STUDY_SUFFIXES, whole_file
    from peftlab.data.label_cells import MissingCellError
    from peftlab.study.new.draft import draft

    if study.suffix not in STUDY_SUFFIXES:
        raise UserError(
            "a study file has the ending .yaml or .yml", where=str(study), allowed="NAME.yaml"
        )
    if study.exists() and not force:
        raise UserError(
            "this file already exists", where=str(study), remedy="--force, or another name"
        )
    if not study.absolute().parent.is_dir():
        raise UserError("no such folder", where=str(study.parent))
    try:
        made = draft(
            study,
            data,
            dev=dev,
            text=options.comma_list(text),
            label=options.comma_list(label),
            model=model,
            folds=folds,
            options=options.reading(data, sep, encoding, sheet),
            missing=missing_of(missing),
        )
    except MissingCellError as error:  # there is no study yet that could say it
        raise error.asked_by("--missing drop") from error
    with whole_file(study) as stream:
        stream.write(made.text.encode())
    if as_json:
        guesses = [asdict(guess) for guess in made.guesses]
        printing.print_json({"study": str(study), "guesses": guesses, "hints": made.hints})
        return printing.DONE
    printing.print_table(
        ("key", "value", "why"),
        [(guess.key, _shown(guess.value), guess.why) for guess in made.guesses],
        title=f"Guesses from {data.name}",
    )
    for hint in made.hints:
        print(f"hint: {hint}")
    print(f"written: {study}; next: peftlab lint {study}, peftlab run {study}")
    return printing.DONE


def missing_of(word: str) -> MissingPolicy:
    """Return the option's word for rows with an empty cell; raise UserError for another one."""
    if word == "drop":
        return "drop"
    if word != "error":
        raise UserError(f"unknown word '{word}'", where="--missing", allowed="error, drop")
    return "error"


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
