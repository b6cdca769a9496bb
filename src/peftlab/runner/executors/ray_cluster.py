"""Jobs as tasks of a Ray cluster (Moritz et al. 2018, arXiv 1712.05889).

Ray finds a place for a job, and knows when a node or a process is gone. A task streams the
messages of its trials back to the study's process, which alone writes results. Nodes share the
workspace's folder, or hand trials on by a URL (ray_exchange.py). Trials whose node died are tried
again elsewhere, from their last checkpoints.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from peftlab.core.errors import PeftlabError, StorageError, UserError, first_line
from peftlab.core.interrupts import stop_if_requested
from peftlab.engine.devices.registry import resource_of
from peftlab.engine.events import End, Failed, Finished, Interrupted, Listener, Paused, Started
from peftlab.engine.job import Job
from peftlab.runner.executors.base import ExecutorOptions, JobSource
from peftlab.runner.executors.ray_exchange import RayExchange, call_on
from peftlab.runner.executors.ray_task import kill, run_told
from peftlab.runner.executors.retry import (
    POLL_SECONDS,
    SECONDS_TO_STOP,
    Death,
    Retries,
    no_progress,
    seconds_of_silence,
)
from peftlab.runner.messages import (
    MESSAGES,
    Busy,
    Done,
    Message,
    Placed,
    Ready,
    StatePublished,
    pass_on,
    to_line,
)

SECONDS_TO_ANSWER = 5.0
MOST_SUBMITTED = 1000
"""The most tasks that Ray holds at a time, running or waiting."""
STEPS_A_SECOND = 300
"""The most step messages a second from all trials together; one process can take about twice."""


class RayExecutor:
    """Runs each job as a Ray task with as many CPUs as it has threads, or a GPU."""

    def __init__(self, options: ExecutorOptions) -> None:
        self._options = options

    def run(self, source: JobSource, tell: Listener) -> None:
        """Run the jobs, the longest first, wherever there is room."""
        if not source.most:
            return
        url = self._options.artifacts
        exchange = None if url is None else RayExchange(url)
        ray = _connect(self._options.address)
        if exchange is not None:
            exchange.check_nodes(ray)
        cluster = _Cluster(ray, self._options, tell, exchange)
        try:
            cluster.run(source)
        except BaseException:
            cluster.stop()
            raise
        finally:
            if exchange is not None:
                exchange.clear_nodes(ray)


def _connect(address: str | None) -> Any:
    """Return Ray, connected to the cluster at the address, or to one of its own on this machine."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise UserError(
            "the executor ray needs the package ray",
            where="--executor",
            remedy="pip install 'peftlab[ray]', or the executors inline and pool",
        ) from error
    if ray.is_initialized():
        return ray
    try:
        _require_answer(address)
        ray.init(
            address=address,
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Ray cluster there: {first_line(error)}",
            where=f"--address {address}",
            allowed="auto, or HOST:PORT of a cluster that 'ray start' began",
        ) from error
    return ray


def _require_answer(address: str | None) -> None:
    """Raise OSError if nothing answers at HOST:PORT, for which Ray itself would wait very long."""
    host, colon, port = (address or "").rpartition(":")
    if colon and "/" not in host and port.isdecimal():
        socket.create_connection((host, int(port)), SECONDS_TO_ANSWER).close()


@dataclass
class _Task:
    """A job that is with Ray, and what is known of the process that runs it once it has begun."""

    job: Job
    open_trials: set[str]
    """The trials not told to have ended; all of them until the job has found its place."""
    node: str = ""
    pid: int = 0
    heard_at: float | None = None
    is_ready: bool = False
    """Whether it has imported what it needs."""
    silent_seconds: float | None = None
    """The seconds of silence after which its process was ended."""
    is_started: bool = False
    """Whether its trials were told to have started."""
    lost: str = "its task ended without reporting it"
    """The reason why trials are open of which the task will tell nothing more."""
    states: dict[str, str] = field(default_factory=dict)
    """The state that was last handed on of each trial."""


class _Cluster:
    """The tasks that are with Ray, and the loop that listens to them."""

    def __init__(
        self, ray: Any, options: ExecutorOptions, tell: Listener, exchange: RayExchange | None
    ) -> None:
        self._ray, self._options, self._tell = ray, options, tell
        self._exchange = exchange
        self._again: deque[Job] = deque()
        self._resources: dict[str, float] = ray.cluster_resources()
        self._has_gpus = self._resources.get("GPU", 0) > 0
        self._run = ray.remote(num_returns="streaming", max_retries=0)(run_told)
        self._tasks: dict[Any, _Task] = {}
        self._is_stopping = False
        self._retries = Retries()

    def run(self, source: JobSource) -> None:
        """Run all jobs; raises what ends the study."""
        source = source.spread(self._num_places(source.device)).longest_first()
        most = self._most_submitted(source)
        while self._submit_next(source, most) or self._tasks:
            stop_if_requested()
            self._listen()
            self._end_the_silent()

    def stop(self) -> None:
        """Ask every task to save its trials and end."""
        self._is_stopping = True
        for reference in self._tasks:
            self._ray.cancel(reference)
        deadline = monotonic() + SECONDS_TO_STOP
        while self._tasks and monotonic() < deadline:
            with suppress(PeftlabError):  # another error is what the study ends with
                self._listen()
        for task in self._tasks.values():
            if task.is_started:
                self._interrupted(task)

    def _most_submitted(self, source: JobSource) -> int:
        """Return how many tasks may be with Ray at a time.

        Jobs that follow from how others went are asked for only when there is room for them.
        """
        if source.known:
            return MOST_SUBMITTED
        return self._num_places(source.device)

    def _num_places(self, device: str) -> int:
        """Return how many jobs on that device can run at a time, at least 1."""
        resource, amount = self._wanted(device, self._options.threads or 1)
        return max(1, int(self._resources.get(resource, 0) / amount))

    def _wanted(self, device: str, threads: int) -> tuple[str, float]:
        """Return what a job on that device takes of a node, and how much of it."""
        resource = resource_of(device) or ("GPU" if self._has_gpus else "CPU")
        return resource, self._options.gpus if resource == "GPU" else threads

    def _submit_next(self, source: JobSource, most: int) -> bool:
        """Submit what there is room for; return whether there was anything."""
        is_submitted = False
        while len(self._tasks) < most:
            job = self._again.popleft() if self._again else source.next_job()
            if job is None:
                break
            task = self._submit(job.with_settings(threads=self._options.threads or 1))
            if not source.known:  # which jobs come next depends on what has started
                self._start(task)
            is_submitted = True
        return is_submitted

    def _start(self, task: _Task) -> None:
        """Tell that the task's trials begin, if that was not told yet."""
        if not task.is_started:
            task.is_started = True
            for trial in task.job.trials:
                self._tell(Started(trial=trial))

    def _submit(self, job: Job) -> _Task:
        resource, amount = self._wanted(job.device, job.threads or 1)
        num_trials = job.together * self._resources.get(resource, 0) / amount
        job = job.with_settings(told_every=max(job.told_every, num_trials / STEPS_A_SECOND))
        told = job if self._exchange is None else self._exchange.job_for_node(job)
        run = self._run.options(**{f"num_{resource.lower()}s": amount})
        reference = run.remote(to_line(told), self._options.artifacts)
        task = self._tasks[reference] = _Task(job, {trial.id for trial in job.trials})
        return task

    def _listen(self) -> None:
        """Pass on what tasks tell within a moment."""
        references = [*self._tasks]
        ready, _ = self._ray.wait(references, timeout=POLL_SECONDS)
        if ready:
            ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        for reference in ready:
            try:
                message = MESSAGES.validate_json(self._ray.get(next(reference)))
            except StopIteration:
                death = Death(cause="its task ended", is_killed=True, is_memory=False)
                self._gone(self._tasks.pop(reference), death)
            except (self._ray.exceptions.RayError, KeyboardInterrupt) as error:
                task = self._tasks.pop(reference)
                self._gone(task, self._death(task, error))
            else:
                self._heard(reference, message)

    def _heard(self, reference: Any, message: Message) -> None:
        task = self._tasks[reference]
        task.heard_at = monotonic()
        match message:
            case Placed():
                task.node, task.pid = message.node, message.pid
                self._start(task)
            case Ready():
                task.is_ready = True
            case Busy():
                pass
            case StatePublished():
                task.states[message.trial_id] = message.state
            case Done():
                del self._tasks[reference]
                if task.open_trials:
                    self._gone(task, Death(cause=task.lost, is_killed=True, is_memory=False))
            case Finished() | Paused() | Failed() | Interrupted():
                self._ended(task, message)
            case _ if not self._is_stopping:
                pass_on(message, self._tell)

    def _ended(self, task: _Task, message: End) -> None:
        """Note how one of a task's trials ended."""
        trial_id = message.trial_id
        if self._exchange is not None and isinstance(message, Finished | Paused):
            if not self._bring_result(self._exchange, task, trial_id):
                task.lost = f"what it left at {self._exchange.url} is damaged"
                return  # it stays open, and is tried again when the task is done
            task.open_trials.discard(trial_id)
            self._tell(message)
            self._exchange.forget(trial_id)
            return
        if self._exchange is not None:
            self._exchange.bring_home(task.job, trial_id)
        task.open_trials.discard(trial_id)
        self._tell(message)

    def _bring_result(self, exchange: RayExchange, task: _Task, trial_id: str) -> bool:
        try:
            return exchange.bring_result(task.job, trial_id, task.states.get(trial_id, ""))
        except StorageError:
            self._interrupted(task)
            raise

    def _gone(self, task: _Task, death: Death) -> None:
        """Note that a task has died: its open trials have failed, or are tried again."""
        if self._is_stopping:
            if task.is_started:
                self._bring_home(task, task.open_trials)
                self._interrupted(task)
            return
        if not task.open_trials:
            return
        again = self._retries.after(task.job, task.open_trials, death, self._tell)
        kept = {trial.id for job in again for trial in job.trials}
        self._bring_home(task, task.open_trials - kept)
        self._again.extendleft(again)

    def _bring_home(self, task: _Task, trial_ids: set[str]) -> None:
        if self._exchange is not None:
            for trial_id in sorted(trial_ids):
                self._exchange.bring_home(task.job, trial_id)

    def _interrupted(self, task: _Task) -> None:
        """Tell that what the task has not ended was stopped."""
        for trial_id in sorted(task.open_trials):
            self._tell(Interrupted(trial_id=trial_id))
        task.open_trials.clear()

    def _end_the_silent(self) -> None:
        """End the process of every task that has told nothing for too long."""
        for reference, task in self._tasks.items():
            if task.heard_at is None or task.silent_seconds is not None:
                continue
            seconds = monotonic() - task.heard_at
            most = seconds_of_silence(self._options.stall_seconds, is_ready=task.is_ready)
            if seconds > most and not self._has_told(reference):
                task.silent_seconds = seconds
                # Ray's own way asks the process to end itself, which one that hangs may not do.
                call_on(self._ray, task.node, kill, task.pid)

    def _has_told(self, reference: Any) -> bool:
        """Return whether the task has told something that was not listened to yet."""
        return bool(self._ray.wait([reference], timeout=0)[0])

    def _death(self, task: _Task, error: BaseException) -> Death:
        """Return what Ray says, and of a process that was ended for its silence what we know."""
        known = self._ray.exceptions
        if task.silent_seconds is not None:
            cause = no_progress(task.silent_seconds)
            return Death(cause=cause, is_killed=False, is_memory=False)
        is_memory = isinstance(error, known.OutOfMemoryError)
        is_killed = not isinstance(error, known.RayTaskError)
        return Death(
            cause=f"{type(error).__name__}: {error}", is_killed=is_killed, is_memory=is_memory
        )
