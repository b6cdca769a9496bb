"""`python -m peftlab`, and the program `peftlab`: the command line."""

from __future__ import annotations

import sys

EXIT_INTERRUPTED = 130


def entry() -> None:
    """Run the command line and leave with its exit status, also where it is interrupted early."""
    try:
        from peftlab.cli.app import main
        from peftlab.core.interrupts import end_at_once

        status = main()
        end_at_once()
    except KeyboardInterrupt:
        print("peftlab: stopped", file=sys.stderr)
        status = EXIT_INTERRUPTED
    sys.exit(status)


if __name__ == "__main__":
    entry()
