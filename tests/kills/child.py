"""A command in a process of its own, forked from one that has imported everything."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from peftlab.cli.app import main
from peftlab.report.pages import files
from peftlab.report.pages.drawing import Drawing
from tests.kills.blow import Blow, kill
from tests.kills.forked import alive, fork_workers
from tests.kills.moments import Moments, Told

LONGEST_SECONDS = 300.0
SECONDS_TO_END = 10.0
"""The seconds that a worker may outlive a killed driver."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The end of a command: its exit status, negative for a signal, and its output.

    `outlived` is the number of workers that were still there long after the driver was killed.
    """

    status: int
    seconds: float
    is_struck: bool
    out: str
    err: str
    outlived: int = 0


def carry_out(
    arguments: Sequence[str],
    root: Path,
    traces: Path,
    blow: Blow | None,
    *,
    of_pool: bool,
    draws: bool,
) -> Ended:
    """Give `peftlab` the arguments in the folder `root`, and kill it as the blow says.

    Apart from its folder for temporary files, it writes only below `traces`.
    """
    shutil.rmtree(traces, ignore_errors=True)
    for name in ("counts", "workers"):
        (traces / name).mkdir(parents=True)
    sys.stdout.flush()
    began = time.perf_counter()
    child = os.fork()
    if child == 0:
        told = Told(root=root, traces=traces, blow=blow)
        _be(arguments, told, of_pool=of_pool, draws=draws)
    status = _wait(child, blow, traces)
    seconds = time.perf_counter() - began
    return Ended(
        status=os.waitstatus_to_exitcode(status),
        seconds=seconds,
        is_struck=(traces / "struck").exists(),
        out=(traces / "out").read_text(errors="replace"),
        err=(traces / "err").read_text(errors="replace"),
        outlived=_outlived(traces),
    )


def _be(arguments: Sequence[str], told: Told, *, of_pool: bool, draws: bool) -> NoReturn:
    """Run the command in the child, to its end."""
    status = 1
    try:
        os.setsid()
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(told.traces / name, os.O_WRONLY | os.O_CREAT), number)
        os.chdir(told.root)
        spare = told.root / "tmp"
        spare.mkdir(exist_ok=True)
        os.environ["TMPDIR"], tempfile.tempdir = str(spare), None
        if not draws:
            files.draw, files.vega_script = _empty_drawing, lambda: ""
        moments = Moments(told, "driver" if of_pool else "")
        moments.begin()
        fork_workers(moments.begin_worker, moments.leave_counts)
        status = main(arguments)
        moments.leave_counts()
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _empty_drawing(specification: Mapping[str, Any], *, name: str) -> Drawing:
    """Return a figure that is made at once."""
    return Drawing(inline="<svg></svg>", files={"svg": name.encode()})


def _wait(child: int, blow: Blow | None, traces: Path) -> int:
    """Return its wait status; kill it if the blow falls at a time."""
    deadline = time.monotonic() + LONGEST_SECONDS
    strike_at = time.monotonic() + blow.seconds if blow and not blow.moment else None
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status
        now = time.monotonic()
        if blow and strike_at is not None and now >= strike_at:
            strike_at = None
            if _strike(child, blow, alive(traces / "workers")):
                (traces / "struck").touch()
        if now > deadline:
            kill([child])
        time.sleep(0.002)


def _strike(child: int, blow: Blow, workers: Sequence[int]) -> bool:
    """Kill the target of the blow; return False if there is no worker to hit."""
    if blow.victim == "worker":
        struck = workers[:1]
    else:
        struck = [child, *(workers if blow.victim == "all" else [])]
    kill(struck)
    return bool(struck)


def _outlived(traces: Path) -> int:
    """Return the number of workers that are still there after a while, and end them."""
    deadline = time.monotonic() + SECONDS_TO_END
    while (left := alive(traces / "workers")) and time.monotonic() < deadline:
        time.sleep(0.02)
    kill(left)
    return len(left)
