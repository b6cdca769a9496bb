"""What runs on the nodes of a Ray cluster: a trial as a task, and small services beside it."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peftlab.core.errors import UserError
from peftlab.core.identity import content_id
from peftlab.core.interrupts import forget_request, request_stop
from peftlab.runner.exchange import Exchange

if TYPE_CHECKING:
    from peftlab.engine.observer import Observer
    from peftlab.engine.run import Outcome
    from peftlab.runner.executors.base import Job

Tell = Callable[[Mapping[str, Any]], None]


def run_told(told: str) -> Iterator[str]:
    """A task: run a trial, told as JSON, and give the messages of how it goes as they come."""
    forget_request()
    yield json.dumps({"event": "started", "node": _node_id(), "pid": os.getpid()})
    from peftlab.runner.executors.base import run_job
    from peftlab.runner.messages import READY
    from peftlab.runner.worker import Worker

    yield json.dumps(READY)
    messages: queue.Queue[str | None] = queue.Queue()
    values = json.loads(told)
    exchanged = None if values["artifacts"] is None else _Exchanged(values["artifacts"])

    def tell(message: Mapping[str, Any]) -> None:
        state = {} if exchanged is None else {"state": exchanged.state}
        messages.put(json.dumps({**message, **state}))

    def work() -> None:
        run = run_job if exchanged is None else exchanged.run_with(tell)
        Worker(tell, run).do({"do": "run", "job": values["job"]})
        messages.put(None)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (message := messages.get()) is not None:
            yield message
    finally:  # the task may have been cancelled: the trial is saved first
        request_stop()
        thread.join()


class _Exchanged:
    """A trial's run in a folder of this node alone, which is handed on by a URL."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.state = ""
        """The last that was published."""

    def run_with(self, tell: Tell) -> Callable[[Job, Observer], Outcome]:
        """A call that runs a job whose folders are given from this node's own."""
        from peftlab.runner.executors.base import run_job

        def run(job: Job, observer: Observer) -> Outcome:
            root = scratch(self._url)
            job = replace(job, artifacts=root / job.artifacts, cache=root / job.cache)
            folder = Exchange(self._url).folder(job.trial.id)

            def publish() -> None:
                self.state = folder.publish(job.artifacts)

            shutil.rmtree(job.artifacts, ignore_errors=True)
            try:
                fetched = folder.fetch(job.artifacts)
                for state in fetched.damaged:
                    then = "an earlier one is used" if fetched.state else "it begins anew"
                    text = f"trial {job.trial.id}: {folder.where}/{state} is damaged; {then}"
                    tell({"event": "remarked", "text": text})
                outcome = run_job(job, observer, publish)
                publish()
                return outcome
            finally:
                shutil.rmtree(job.artifacts, ignore_errors=True)

        return run


def scratch(url: str) -> Path:
    """This node's own folder for the trials that are handed on by that URL."""
    path = Path(tempfile.gettempdir()) / f"{_scratch_prefix(url)}{_node_id()}"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def clear_scratch(url: str) -> None:
    """A service: remove what is left on this node of the trials that were handed on by the URL."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_scratch_prefix(url)}*"):
        shutil.rmtree(folder, ignore_errors=True)


def check_exchange(url: str, note: str) -> dict[str, str] | None:
    """A service: whether this node reads the note and writes there; else what is wrong."""
    clear_scratch(url)
    try:
        exchange = Exchange(url)
        exchange.read_note(note)
        exchange.remove_note(exchange.leave_note())
    except UserError as error:
        return {"what": error.what, "where": error.where, "allowed": error.allowed}
    return None


def kill(pid: int) -> None:
    """A service: end a process of this node at once."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _scratch_prefix(url: str) -> str:
    return f"peftlab-{content_id([url], length=16)}-"


def _node_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())
