"""A process that does what it is told, one thing after another: `python -m` this module.

It is told by its standard input and answers by its standard output, a line of JSON each; what
libraries print goes to the standard error, which is the log. It is told to run a trial, or to
measure how fast one trains here. The process ends when its input ends, after a trial that was asked
to stop by SIGTERM, or with the process that made it, whose id it is given.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from typing import Any, TextIO

from peftlab.core.errors import StorageError, UserError
from peftlab.core.interrupts import stop_requested, stopping_gently
from peftlab.core.parent import end_with_parent
from peftlab.core.process import quiet_libraries
from peftlab.core.progress import watched_by

quiet_libraries()
if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))  # the imports below take seconds
    # Libraries print while they are imported, too: transformers' Trainer with WANDB_MODE=offline.
    OUTPUT = os.dup(1)
    os.dup2(2, 1)

from peftlab.engine.observer import Observer  # noqa: E402
from peftlab.engine.rate import RateMeter  # noqa: E402
from peftlab.engine.run import Outcome  # noqa: E402
from peftlab.runner.executors.base import Job, describe, run_job, use_threads  # noqa: E402
from peftlab.runner.messages import READY, Message, Pulse, Telling, job_from_json  # noqa: E402


def main(output: int) -> None:
    """Do what comes, until there is no more; `output` is the file descriptor for messages."""
    out = os.fdopen(output, "w", encoding="utf-8")
    with stopping_gently():
        _write(out, READY)
        worker = Worker(partial(_write, out))
        for line in _lines(sys.stdin):
            if not worker.do(json.loads(line)):
                return


class Worker:
    """What the process keeps from one thing to the next."""

    def __init__(
        self,
        tell: Callable[[Message], None],
        run: Callable[[Job, Observer], Outcome] = run_job,
    ) -> None:
        self._tell, self._run = tell, run
        self._meter: RateMeter | None = None

    def do(self, told: Message) -> bool:
        """Do one thing and answer; False if it was stopped and the process is to end."""
        job = job_from_json(told["job"])
        use_threads(job.threads)
        try:
            with watched_by(Pulse(self._tell)):
                self._tell(self._answer(job, told))
        except KeyboardInterrupt:
            self._tell({"event": "interrupted"})
            return False
        except UserError as error:
            where = {"what": error.what, "where": error.where, "allowed": error.allowed}
            self._tell({"event": "refused", **where})
        except StorageError as error:
            self._tell({"event": "lost", "error": str(error)})
        except Exception as error:
            self._tell({"event": "failed", "error": describe(error)})
        return True

    def _answer(self, job: Job, told: Message) -> dict[str, Any]:
        if told["do"] == "measure":
            if self._meter is None:
                self._meter = RateMeter(job.trial, cache=job.cache, device=job.device)
            return {"event": "measured", "rate": self._meter.measure(told["seconds"])}
        self._meter = None
        telling = Telling(self._tell, every=job.told_every)
        return {"event": "finished", "outcome": asdict(self._run(job, telling))}


def _write(out: TextIO, message: Message) -> None:
    out.write(json.dumps(message) + "\n")
    out.flush()


def _lines(stream: TextIO) -> Iterator[str]:
    """The lines of the input until it ends or the process is asked to stop."""
    while not stop_requested():
        line = stream.readline()
        if not line:
            return
        yield line


if __name__ == "__main__":
    main(OUTPUT)
