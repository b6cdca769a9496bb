"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from peftlab.cli import completion, printing
from peftlab.core.errors import UserError
from peftlab.core.files import DEFAULT_WORKSPACE as DEFAULT_WORKSPACE
from peftlab.core.files import STUDY_SUFFIXES
from peftlab.core.hub import go_offline_if_unreachable
from peftlab.core.words import any_of
from peftlab.engine.registry import ENGINES
from peftlab.runner.executors.registry import DEFAULT_EXECUTOR as DEFAULT_EXECUTOR
from peftlab.runner.executors.registry import EXECUTORS, names_with

if TYPE_CHECKING:
    from peftlab.data.read_options import ReadOptions
    from peftlab.study.spec import StudySpec

WRITING = "writing the report"
SEED_FORMS = "42 or 42,43 or 0-4"
MOST_SEEDS = 10_000


def _stdout_for_json(context: typer.Context, wanted: bool) -> bool:
    if wanted and not context.resilient_parsing:
        context.with_resource(printing.json_alone())
    return wanted


MovedModel = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="FOLDER",
        help="The checkpoint's folder, or the one that holds it, if it was moved.",
    ),
]
Sep = Annotated[
    str | None,
    typer.Option("--sep", metavar="SIGN", help="The character between the columns of a .csv."),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        "--encoding", metavar="NAME", help="The encoding of a text file: utf-16, cp1252, ..."
    ),
]
Sheet = Annotated[
    str | None,
    typer.Option("--sheet", metavar="NAME", help="The sheet of an .xlsx; by default the first."),
]
RowsToTrainOn = Annotated[
    Path, typer.Option(help="Rows to train on: .csv, .tsv, .xlsx, .jsonl, .json or .parquet.")
]
RowsToScoreOn = Annotated[
    Path | None, typer.Option(help="Rows to score on; by default a share of the data.")
]
TextColumns = Annotated[
    str | None, typer.Option(help="The column of the text, or two of a pair: a,b.")
]
LabelColumns = Annotated[
    str | None, typer.Option(help="The column of the label, or several of 0 and 1: a,b.")
]
Checkpoint = Annotated[str | None, typer.Option(help="A Hub id, a folder, or minilm.")]
MissingCells = Annotated[
    str, typer.Option(help="Rows without a text or a label: error, or drop them.")
]
Workspace = Annotated[
    Path, typer.Option("--workspace", metavar="DIR", help="The folder where results live.")
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        callback=_stdout_for_json,
        help="Print one JSON value on stdout and nothing else.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a key of the study (dotted); may be repeated."
    ),
]


Model = Annotated[str | None, typer.Option(help="A Hub id, a folder, or minilm.")]
Data = Annotated[str | None, typer.Option(help="hub, demo, hub:FOLDER or a GLUE folder.")]
Tasks = Annotated[
    str | None,
    typer.Option(help="Only these tasks, comma-separated.", autocompletion=completion.tasks),
]
Arms = Annotated[
    str | None,
    typer.Option(help="Only these arms, comma-separated.", autocompletion=completion.arms),
]
Engine = Annotated[
    str | None,
    typer.Option(help=f"{any_of(ENGINES.names())}.", autocompletion=completion.engines),
]
Executor = Annotated[
    str,
    typer.Option(
        help=f"Where trials run: {any_of(EXECUTORS.names())}.", autocompletion=completion.executors
    ),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help=f"Worker processes of {any_of(names_with('workers'))}.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of a trial on a CPU.")]
Gpus = Annotated[
    float,
    typer.Option(
        min=0.01, help=f"GPUs for each trial on {any_of(names_with('gpus'))}, or a share of one."
    ),
]
Address = Annotated[
    str | None, typer.Option(help="The Ray cluster: auto or HOST:PORT; by default one is started.")
]
Artifacts = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help=f"Where the nodes of {any_of(names_with('artifacts'))} keep trials for one another: "
        "s3://BUCKET/FOLDER.",
    ),
]
StallSeconds = Annotated[
    float,
    typer.Option(
        min=1,
        help=f"End a trial of {any_of(names_with('stall_seconds'))} after this long without a sign "
        "of life.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0, ...")]


def study_name(given: str) -> str:
    """Return the name under which a workspace holds the study that the user names."""
    if not given.endswith(STUDY_SUFFIXES):
        return given
    from peftlab.study.load import load_study

    return load_study(given).name


def comma_list(text: str | None) -> list[str] | None:
    """Return the items of a comma-separated option; None if it was not given."""
    if text is None:
        return None
    return [item.strip() for item in text.split(",") if item.strip()]


def seed_list(text: str | None) -> list[int] | None:
    """Return the seeds of "42,43" or "0-4"; raise UserError for anything else.

    >>> seed_list("42,50-52")
    [42, 50, 51, 52]
    """
    items = comma_list(text)
    if items is None:
        return None
    seeds: list[int] = []
    for item in items:
        first, separator, last = item.partition("-")
        last = last if separator else first
        are_numbers = all(text.isdecimal() and len(text) <= 18 for text in (first, last))
        if not are_numbers or int(first) > int(last):
            raise UserError(f"'{item}' is not a seed", where="--seeds", allowed=SEED_FORMS)
        if int(last) - int(first) >= MOST_SEEDS:
            raise UserError(
                f"'{item}' is too many seeds", where="--seeds", allowed=f"at most {MOST_SEEDS:,}"
            )
        seeds += range(int(first), int(last) + 1)
    if not seeds:
        raise UserError("no seed is given", where="--seeds", allowed=SEED_FORMS)
    return seeds


def reading(
    path: Path | None, sep: str | None, encoding: str | None, sheet: str | None
) -> ReadOptions:
    """Return the options for reading a table; raise UserError if one is wrong or does not apply."""
    from peftlab.data.read_options import ReadOptions, checked_options, require_effect

    found = checked_options(ReadOptions(sep=sep, encoding=encoding, sheet=sheet))
    if path is not None:
        require_effect(found, path)
    elif found.given:
        raise UserError("there is no file to read", where=f"--{next(iter(found.given))}")
    return found


def settle_hub(spec: StudySpec, workspace: Path | None = None) -> None:
    """Report, once, that the study needs the Hub and the Hub does not answer.

    Raises UserError where its checkpoint was a folder in the trials of the workspace, and is gone.
    """
    from peftlab.study.load import needs_hub

    if not needs_hub(spec):
        return
    if workspace is not None:
        _require_checkpoint(spec, workspace)
    if go_offline_if_unreachable():
        printing.remark("the Hub is not reachable: only what is cached on this machine can be used")


def _require_checkpoint(spec: StudySpec, path: Path) -> None:
    from peftlab.store.workspace import Workspace as Opened
    from peftlab.study.stored_studies import require_checkpoint

    try:
        opened = Opened.open(path, create=False)
    except UserError:  # of a workspace that is not there, or that the command will complain of
        return
    with opened:
        require_checkpoint(spec, opened)
