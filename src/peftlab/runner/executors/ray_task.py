"""The code that runs on the nodes of a Ray cluster: a job as a task, and small services."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from peftlab.core.errors import UserError
from peftlab.core.identity import content_id
from peftlab.core.interrupts import forget_request, request_stop
from peftlab.runner.exchange import Exchange

if TYPE_CHECKING:
    from peftlab.core.trial import Trial
    from peftlab.engine.events import Listener
    from peftlab.engine.job import Job
    from peftlab.runner.messages import Message

SendMessage = Callable[["Message"], None]


def run_told(told: str, url: str | None) -> Iterator[str]:
    """A task: run a job, told as JSON, and yield the messages of how it goes as they come.

    With a URL its trials are handed on by it.
    """
    forget_request()
    from peftlab.runner.messages import Placed, Ready, RunJob, to_line  # a moment of imports

    yield to_line(Placed(node=_node_id(), pid=os.getpid()))
    from peftlab.engine.job import Job
    from peftlab.engine.run import run_job
    from peftlab.runner.worker import Worker

    yield to_line(Ready())
    messages: queue.Queue[str | None] = queue.Queue()

    def tell(message: Message) -> None:
        messages.put(to_line(message))

    def work() -> None:
        run = run_job if url is None else handed_on(url, tell)
        Worker(tell, run).do(RunJob(job=Job.model_validate_json(told)))
        messages.put(None)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (message := messages.get()) is not None:
            yield message
    finally:  # the task may have been cancelled: the trials are saved first
        request_stop()
        thread.join()


def handed_on(url: str, tell: SendMessage) -> Callable[[Job, Listener], None]:
    """Return a function that runs a job in folders of this node, handed on through a URL.

    The job's folders are replaced by this node's own. What is published is reported.
    """
    from peftlab.engine.events import Remarked
    from peftlab.engine.run import run_job
    from peftlab.runner.messages import StatePublished

    exchange = Exchange(url)

    def run(job: Job, listener: Listener) -> None:
        root = scratch(url)
        folders = {trial_id: root / folder for trial_id, folder in job.folders.items()}
        job = job.with_settings(folders=folders, cache=root / job.cache)

        def publish(trial: Trial) -> None:
            state = exchange.folder(trial.id).publish(job.folder(trial))
            tell(StatePublished(trial_id=trial.id, state=state))

        try:
            for trial in job.trials:
                shutil.rmtree(job.folder(trial), ignore_errors=True)
                folder = exchange.folder(trial.id)
                fetched = folder.fetch(job.folder(trial))
                for state in fetched.damaged:
                    then = "an earlier one is used" if fetched.state else "it begins anew"
                    text = f"trial {trial.id}: {folder.where}/{state} is damaged; {then}"
                    tell(Remarked(trial_id=trial.id, text=text))
            run_job(job, listener, on_saved=publish)
        finally:
            for trial in job.trials:
                shutil.rmtree(job.folder(trial), ignore_errors=True)

    return run


def scratch(url: str) -> Path:
    """Return this node's own folder for the trials that are handed on by that URL."""
    path = Path(tempfile.gettempdir()) / f"{_scratch_prefix(url)}{_node_id()}"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def clear_scratch(url: str) -> None:
    """Remove what is left on this node of the trials that were handed on by the URL."""
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
        return {
            "what": error.what,
            "where": error.where,
            "allowed": error.allowed,
            "remedy": error.remedy,
        }
    return None


def kill(pid: int) -> None:
    """End a process of this node at once."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _scratch_prefix(url: str) -> str:
    return f"peftlab-{content_id([url], length=16)}-"


def _node_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())
