"""The program `peftlab`: its commands, and what becomes of errors.

Nothing here imports torch, transformers or pandas: a command imports what it needs when it runs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from peftlab import __version__
from peftlab.cli import (
    bench,
    export,
    lint,
    listing,
    new,
    options,
    params,
    predict,
    report,
    run,
    status,
    submit,
    tune,
)
from peftlab.core.errors import PeftlabError, UserError, one_line
from peftlab.core.interrupts import interruptible, was_interrupted
from peftlab.core.process import trust_own_metrics, trust_remote_code
from peftlab.core.progress import watched_by
from peftlab.runner.bars import StageBars

EXIT_USER_ERROR = 2
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
INTERRUPTED = "stopped"
KEPT = f"{INTERRUPTED}; what was measured is kept"
MEASURING = (run.NAME, tune.NAME)
"""The commands that keep what they have measured."""

app = typer.Typer(
    name="peftlab",
    help="Which way of fine-tuning should I use for my model and my data, and what does it cost?",
    epilog="Example: peftlab run quickstart",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _module in (run, new, report, status, tune, lint, params, predict, submit, export, bench):
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
        False, "--version", callback=_version, is_eager=True, help="Print the version and leave."
    ),
    trust: bool = typer.Option(
        False,
        "--trust-remote-code",
        callback=_trust,
        help="Run Python code that lies beside a checkpoint: it can do all that you can.",
    ),
    trust_metrics: bool = typer.Option(
        False,
        "--trust-metrics",
        callback=_trust_metrics,
        help="Run functions that a study names as metrics: they can do all that you can.",
    ),
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status.

    0 done, 1 some trials failed, 2 the user's mistake (one line on stderr), 130 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _require_text(given)
        with interruptible(), watched_by(StageBars(options.stderr_console)):
            result = app(
                args=given,
                prog_name="peftlab",
                standalone_mode=False,
            )
    except UserError as error:
        return _say(str(error), EXIT_USER_ERROR)
    except PeftlabError as error:
        return _say(str(error), EXIT_FAILED)
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help itself
            print(error.format_message())
            return EXIT_USER_ERROR
        return _say(one_line(error.format_message()), EXIT_USER_ERROR)
    except (KeyboardInterrupt, typer.Abort):
        return _say(_interrupted(given), EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_FAILED
    except Exception as error:
        if was_interrupted(error):
            return _say(_interrupted(given), EXIT_INTERRUPTED)
        raise
    if result == EXIT_INTERRUPTED:  # what typer makes of Ctrl-C in a command
        return _say(_interrupted(given), EXIT_INTERRUPTED)
    return result if isinstance(result, int) else 0


def _require_text(arguments: Sequence[str]) -> None:
    """Raise UserError for an argument that is not UTF-8: it could be neither kept nor shown."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise UserError("this argument is not text", where=argument, allowed="UTF-8") from error


def _interrupted(arguments: Sequence[str]) -> str:
    """Return what is said of an interrupted command; the options before its name have no values.

    >>> _interrupted(["--trust-metrics", "run", "s.yaml"]), _interrupted(["predict", "3f2a"])
    ('stopped; what was measured is kept', 'stopped')
    """
    command = next((one for one in arguments if not one.startswith("-")), "")
    return KEPT if command in MEASURING else INTERRUPTED


def _say(message: str, status: int) -> int:
    print(f"peftlab: {message}", file=sys.stderr)
    return status
