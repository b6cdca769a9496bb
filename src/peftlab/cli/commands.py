"""The commands of `peftlab` and their options, declared for the library that reads them.

Nothing here imports torch, transformers or pandas: a command imports what it needs when it runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import typer

from peftlab import __version__
from peftlab.cli import (
    bench,
    choose,
    export,
    lint,
    listing,
    new,
    params,
    predict,
    report,
    run,
    status,
    submit,
    tune,
)
from peftlab.cli.printing import USER_ERROR
from peftlab.core.errors import UserError
from peftlab.core.process import trust_own_metrics, trust_remote_code

app = typer.Typer(
    name="peftlab",
    help="Which way of fine-tuning should I use for my model and my data, and what does it cost?",
    epilog="Example: peftlab run quickstart",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _module in (
    run,
    choose,
    new,
    report,
    status,
    tune,
    lint,
    params,
    predict,
    submit,
    export,
    bench,
):
    app.command(name=_module.NAME, epilog=_module.EXAMPLE)(_module.command)
app.add_typer(listing.app, name=listing.NAME)


def _version(context: typer.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:  # as it is for a shell's Tab
        print(f"peftlab {__version__}")
        raise typer.Exit


def _trust(context: typer.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        trust_remote_code()


def _trust_metrics(context: typer.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        trust_own_metrics()


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
    trust: bool = typer.Option(
        False,
        "--trust-remote-code",
        callback=_trust,
        help="Run Python code that comes with a checkpoint: it can do all that you can.",
    ),
    trust_metrics: bool = typer.Option(
        False,
        "--trust-metrics",
        callback=_trust_metrics,
        help="Run functions that a study names as metrics: they can do all that you can.",
    ),
) -> None:
    pass


def carry_out(arguments: Sequence[str]) -> object:
    """Carry out the command; return its exit status, or 2 if only help could be printed.

    Raises UserError for arguments that make no command, and KeyboardInterrupt.
    """
    try:
        return app(args=[*arguments], prog_name="peftlab", standalone_mode=False)
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help itself
            print(error.format_message())
            return USER_ERROR
        raise UserError(error.format_message()) from error
    except typer.Abort as error:
        raise KeyboardInterrupt from error
