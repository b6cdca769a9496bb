"""Give peftlab bad input: `python -m tests.fuzz --count 100000 --seed 1`.

Every input comes from good input by seeded edits. A fault (a traceback, a file outside the
workspace, code run from data, a minute without an answer) is printed with the options that bring
it back, and makes the exit status 1. A process that dies leaves the input's name in
a file that is named at the start.
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from time import perf_counter

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "critical")

from tests.fuzz.kinds import KINDS
from tests.fuzz.run import Input, attempt, shares
from tests.fuzz.world import World

MEMORY_BYTES = 12 << 30
LAST = Path(tempfile.gettempdir(), f"peftlab-fuzz-{os.getpid()}.txt")


def main() -> int:
    """Try the inputs; return 1 if any of them did something forbidden."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="inputs in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(KINDS), action="append", help="kinds; else all")
    parser.add_argument("--at", type=int, help="this input alone, its messages printed")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first index")
    parser.add_argument("--messages", type=Path, help="write the different refusals to this file")
    given = parser.parse_args()
    faulthandler.enable()
    logging.disable(logging.CRITICAL)
    _limit_memory()
    print(f"the input at work is named in {LAST}", flush=True)
    names = given.only or list(KINDS)
    faults, lines = 0, Counter[str]()
    with tempfile.TemporaryDirectory() as root, World(Path(root).resolve()).active() as world:
        for name, count in shares(given.count, names):
            kind, began, slowest = KINDS[name](world), perf_counter(), (0.0, 0)
            indices = range(count)[given.first :] if given.at is None else [given.at]
            for number, index in enumerate(indices, 1):
                started = perf_counter()
                verdict = attempt(
                    kind, Input(given.seed, name, index), lambda i: LAST.write_text(str(i))
                )
                slowest = max(slowest, (perf_counter() - started, index))
                if verdict.line:
                    lines[f"{name}: {verdict.line}".replace(root, "ROOT")] += 1
                if verdict.fault:
                    faults += 1
                    print(f"FAULT {Input(given.seed, name, index)}\n{verdict.fault}", flush=True)
                if given.at is not None:
                    print(verdict.line or "accepted")
                if number % 2000 == 0:
                    print(f"{name}: {number} of {count}, {faults} faults", flush=True)
            seconds = perf_counter() - began
            print(
                f"{name}: {len(indices)} inputs in {seconds:.0f} s, slowest {slowest[0]:.1f} s "
                f"(--at {slowest[1]}), {faults} faults so far",
                flush=True,
            )
    LAST.unlink(missing_ok=True)
    if given.messages:
        shown = [f"{count:6} {line}\n" for line, count in lines.most_common()]
        given.messages.write_text("".join(shown), encoding="utf-8", errors="backslashreplace")
    refused = lines.total()
    print(f"{refused} refused in {len(lines)} different lines; {faults} faults")
    return 1 if faults else 0


def _limit_memory() -> None:
    """Limit memory, so that an input that asks for too much gets an error."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))


if __name__ == "__main__":
    sys.exit(main())
