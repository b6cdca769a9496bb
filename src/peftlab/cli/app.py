"""The program `peftlab`: how a command is carried out, and what becomes of errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from peftlab.cli import short_commands
from peftlab.cli.printing import DONE, FAILED, INTERRUPTED, USER_ERROR, stderr_console
from peftlab.core.errors import PeftlabError, UserError
from peftlab.core.interrupts import interruptible, was_interrupted
from peftlab.core.progress import watched_by
from peftlab.runner.bars import StageBars

STOPPED = "stopped"
KEPT = f"{STOPPED}; what was measured is kept"
MEASURING = ("run", "tune", "choose")
"""The commands that keep their measurements."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status.

    0 done, 1 some trials failed, 2 the user's mistake (one line on stderr), 130 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _require_text(given)
        with interruptible(), watched_by(StageBars(stderr_console)):
            result = _carried_out(given)
    except UserError as error:
        return _say(str(error), USER_ERROR)
    except PeftlabError as error:
        return _say(str(error), FAILED)
    except KeyboardInterrupt:
        return _say(_interrupted(given), INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        return FAILED
    except Exception as error:
        if was_interrupted(error):
            return _say(_interrupted(given), INTERRUPTED)
        raise
    if result == INTERRUPTED:  # what typer makes of Ctrl-C in a command
        return _say(_interrupted(given), INTERRUPTED)
    return result if isinstance(result, int) else DONE


def _carried_out(given: Sequence[str]) -> object:
    if short_commands.carry_out(given):
        return DONE
    from peftlab.cli import commands

    return commands.carry_out(given)


def _require_text(arguments: Sequence[str]) -> None:
    """Raise UserError if an argument is not UTF-8: it could be neither kept nor shown."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise UserError("this argument is not text", where=argument, allowed="UTF-8") from error


def _interrupted(arguments: Sequence[str]) -> str:
    """Return the message for an interrupted command; options before its name have no values.

    >>> _interrupted(["--trust-metrics", "run", "s.yaml"]), _interrupted(["predict", "3f2a"])
    ('stopped; what was measured is kept', 'stopped')
    """
    command = next((one for one in arguments if not one.startswith("-")), "")
    return KEPT if command in MEASURING else STOPPED


def _say(message: str, status: int) -> int:
    print(f"peftlab: {message}", file=sys.stderr)
    return status
