"""`peftlab choose`: which method to use for your own file, within a budget of time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from peftlab.cli import options, printing
from peftlab.cli.new import missing_of
from peftlab.core.durations import seconds_of
from peftlab.core.errors import UserError
from peftlab.core.process import quiet_libraries
from peftlab.core.words import counted, duration

if TYPE_CHECKING:
    from peftlab.api.choose import Budget, Chosen

NAME = "choose"
EXAMPLE = 'Example: peftlab choose --data train.csv --budget "30 minutes"'


def command(
    data: options.RowsToTrainOn,
    budget: Annotated[
        str, typer.Option(help='How long it may take, as "30 minutes" or "2 h", by the clock.')
    ],
    dev: options.RowsToScoreOn = None,
    study: Annotated[
        Path | None, typer.Option(help="The study file to write, by default NAME-choice.yaml here.")
    ] = None,
    text: options.TextColumns = None,
    label: options.LabelColumns = None,
    model: options.Checkpoint = None,
    margin: Annotated[
        float, typer.Option(min=0.01, max=100, help="Points that do not matter to you.")
    ] = 1.0,
    sep: options.Sep = None,
    encoding: options.Encoding = None,
    sheet: options.Sheet = None,
    missing: options.MissingCells = "error",
    executor: options.Executor = options.DEFAULT_EXECUTOR,
    workers: options.Workers = None,
    threads: options.Threads = None,
    device: options.Device = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how the budget will be spent; train nothing.")
    ] = False,
    workspace: options.Workspace = options.DEFAULT_WORKSPACE,
    as_json: options.Json = False,
) -> int:
    """Choose among six methods for your own file, and export the model of the one to use.

    Each method's learning rate is searched on rows held out of the training rows; then seeds are
    trained until the choice is decided or the budget is out. Stop it whenever you like: it says
    what is best so far, and the same command goes on.
    """
    from peftlab.data.label_cells import MissingCellError

    try:
        seconds = seconds_of(budget)
    except ValueError as error:
        raise UserError(str(error), where="--budget") from error
    quiet_libraries()
    from peftlab.api.choose import Choice, budget_words

    try:
        choice = Choice(
            data,
            budget=seconds,
            study=study,
            workspace=workspace,
            dev=dev,
            text=options.comma_list(text),
            label=options.comma_list(label),
            model=model,
            margin=margin,
            options=options.reading(data, sep, encoding, sheet),
            missing=missing_of(missing),
        )
    except MissingCellError as error:
        raise error.asked_by("--missing drop") from error
    options.settle_hub(choice.spec, workspace)
    for hint in choice.draft.hints:
        printing.remark(f"hint: {hint}")
    if dry_run:
        planned = choice.plan(executor=executor, device=device, workers=workers, threads=threads)
        if as_json:
            printing.print_json(_budget_json(planned))
        else:
            print("\n".join(budget_words(planned)))
        return printing.DONE
    try:
        chosen = choice.carry_out(
            console=printing.stderr_console(),
            say=printing.remark,
            executor=executor,
            device=device,
            workers=workers,
            threads=threads,
        )
    except KeyboardInterrupt:
        found = choice.answer()
        if found is not None:
            printing.remark("stopped; what can be said so far:")
            for sentence in found.sentences:
                printing.remark(sentence)
            if found.trial is not None:
                printing.remark(f"its model: peftlab export {found.trial} --output DIR")
        raise
    if as_json:
        printing.print_json(_json(chosen))
    else:
        _print(chosen)
    return printing.DONE


def _print(chosen: Chosen) -> None:
    for sentence in chosen.answer.sentences:
        print(sentence)
    trainings = counted(chosen.num_trials, "training")
    print(f"study: {chosen.study}; it took {duration(chosen.seconds)}: a search, then {trainings}")
    if chosen.model is not None:
        print(f"model: {chosen.model}")
    if chosen.report is not None:
        print(f"report: {chosen.report}")


def _json(chosen: Chosen) -> dict[str, object]:
    return {
        "study": str(chosen.study),
        "arm": chosen.answer.arm,
        "decided": chosen.answer.is_decided,
        "sentences": list(chosen.answer.sentences),
        "trial": chosen.answer.trial,
        "model": None if chosen.model is None else str(chosen.model),
        "report": None if chosen.report is None else str(chosen.report),
        "seconds": chosen.seconds,
        "trials": chosen.num_trials,
    }


def _budget_json(planned: Budget) -> dict[str, object]:
    return {
        "budget": planned.seconds,
        "seconds_by_arm": dict(planned.by_arm),
        "learning_rates": planned.num_settings,
        "seeds": planned.num_seeds,
    }
