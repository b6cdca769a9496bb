"""`peftlab export`: a trained trial as a folder for peft or transformers, or on the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peftlab.cli import completion, options, printing
from peftlab.core.process import quiet_libraries
from peftlab.core.progress import stage
from peftlab.core.words import counted

NAME = "export"
EXAMPLE = "Example: peftlab export 3f2a --output my-classifier --merge"


def command(
    trial: Annotated[
        str,
        typer.Argument(help="A trial's id, or its first digits.", autocompletion=completion.trials),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="A new or empty folder."),
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Fold an adapter into its base: a whole model.")
    ] = False,
    base_model: Annotated[
        str | None,
        typer.Option(metavar="ID", help="The checkpoint's name for others: a Hub id."),
    ] = None,
    model: options.MovedModel = None,
    push: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Also upload it to that repository.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make a repository that --push creates private.")
    ] = False,
    workspace: options.Workspace = options.DEFAULT_WORKSPACE,
    as_json: options.Json = False,
) -> int:
    """Write a trained trial as a folder that peft or transformers load without peftlab.

    With its tokenizer and a model card: scores, intervals, settings, provenance. An adapter stays
    one without --merge; what other methods trained is a whole transformers model.
    """
    quiet_libraries()
    from peftlab.api.trial import Trial

    found = Trial.find(trial, workspace=workspace)
    with stage("exporting the trial") as exporting:
        made = found.export(
            output,
            merge=merge,
            base_model=base_model,
            places=model or (),
            push=push,
            private=private,
            tell=exporting.say,
        )
    fold = found.record.trial.fold
    if fold is not None:
        printing.remark(
            f"remark: this is the model of fold {fold.number}, trained on {fold.of - 1} of "
            f"{fold.of} parts of train; for one of all rows, train its arm without folds"
        )
    if found.train_size is not None:
        printing.remark(
            f"remark: this is the model of {counted(found.train_size, 'training row')}; "
            "for one of all rows take a trial of its arm without train_size"
        )
    if made.is_local:
        printing.remark(
            f"remark: this adapter's base is {made.base}, which only this machine has; for others "
            "use --merge, or say by --base-model what it is called on the Hub"
        )
    if as_json:
        printing.print_json(
            {
                "trial": found.id,
                "kind": made.kind,
                "output": None if output is None else str(output),
                "base_model": made.base or None,
                "files": list(made.files),
                "url": made.url,
            }
        )
        return printing.DONE
    if output is not None:
        print(f"{made.kind} folder: {output}")
    if made.url is not None:
        print(f"on the Hub: {made.url}")
    return printing.DONE
