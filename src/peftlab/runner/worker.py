"""A process that carries out requests, one after another: `python -m` this module.

It is told by its standard input and answers by its standard output, a line of JSON each; what
libraries print goes to the standard error, which is the log. It is told to run a job, or to
measure how fast one trains here. The process ends when its input ends, after a job that was asked
to stop by SIGTERM, or with the process that made it, whose id it is given.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, TextIO

from peftlab.core.errors import StorageError, UserError
from peftlab.core.interrupts import stop_requested, stopping_gently
from peftlab.core.parent import end_with_parent
from peftlab.core.process import quiet_libraries
from peftlab.core.progress import watched_by

if TYPE_CHECKING:
    from peftlab.engine.events import Listener
    from peftlab.engine.job import Job

quiet_libraries()
if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))  # the imports below take seconds
    # Libraries print while they are imported, too: transformers' Trainer with WANDB_MODE=offline.
    OUTPUT = os.dup(1)
    os.dup2(2, 1)

from peftlab.engine.attempt import describe  # noqa: E402
from peftlab.engine.events import Remarked  # noqa: E402
from peftlab.engine.rate import RateMeter  # noqa: E402
from peftlab.engine.run import run_job  # noqa: E402
from peftlab.runner.executors.base import use_threads  # noqa: E402
from peftlab.runner.messages import (  # noqa: E402
    REQUESTS,
    Done,
    Lost,
    MeasureRate,
    Message,
    Pulse,
    RateMeasured,
    Ready,
    Refused,
    Request,
    to_line,
    told_seldom,
)


def main(output: int) -> None:
    """Carry out requests until there are none; `output` is the file descriptor for messages."""
    out = os.fdopen(output, "w", encoding="utf-8")
    with stopping_gently():
        _write(out, Ready())
        worker = Worker(partial(_write, out))
        for line in _lines(sys.stdin):
            if not worker.do(REQUESTS.validate_json(line)):
                return


class Worker:
    """The state that the process keeps between requests; `run` runs a job."""

    def __init__(
        self, tell: Callable[[Message], None], run: Callable[[Job, Listener], None] = run_job
    ) -> None:
        self._tell, self._run = tell, run
        self._meter: RateMeter | None = None

    def do(self, request: Request) -> bool:
        """Carry out the request and report its result; return False if the process is to end."""
        use_threads(request.job.threads)
        is_to_end = False
        try:
            with watched_by(Pulse(self._tell)):
                self._answer(request)
        except KeyboardInterrupt:
            is_to_end = True
        except UserError as error:
            self._tell(Refused.of(error))
        except StorageError as error:
            self._tell(Lost(what=error.what, where=error.where))
        except Exception as error:  # a trial that fails says so by itself
            what = "the speed was not measured"
            if not isinstance(request, MeasureRate):
                what = "a job was not run to its end"
            self._tell(Remarked(text=f"{what}: {describe(error)}"))
        self._tell(Done())
        return not is_to_end

    def _answer(self, request: Request) -> None:
        job = request.job
        if isinstance(request, MeasureRate):
            if self._meter is None:
                self._meter = RateMeter(job.trials[0], cache=job.cache, device=job.device)
            self._tell(RateMeasured(rate=self._meter.measure(request.seconds)))
            return
        self._meter = None
        self._run(job, told_seldom(self._tell, every=job.told_every))


def _write(out: TextIO, message: Message) -> None:
    out.write(to_line(message) + "\n")
    out.flush()


def _lines(stream: TextIO) -> Iterator[str]:
    """Yield the lines of the input until it ends or the process is asked to stop."""
    while not stop_requested():
        line = stream.readline()
        if not line:
            return
        yield line


if __name__ == "__main__":
    main(OUTPUT)
