"""Trials as tasks of a Ray cluster (Moritz et al. 2018, arXiv 1712.05889).

Ray finds a place for a trial, and knows when a node or a process is gone. A task streams the
messages of its trial back to the study's process, which alone writes results. Nodes share the
workspace's folder, or hand trials on by a URL (ray_exchange.py). A trial whose node died is tried
again elsewhere, from its last checkpoint.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

from peftlab.core.errors import PeftlabError, StorageError, UserError, first_line
from peftlab.core.interrupts import stop_if_requested
from peftlab.runner.executors.base import ExecutorOptions, Job, Listener
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
from peftlab.runner.messages import ENDS, OF_THE_PROCESS, READY, job_to_json, pass_on

SECONDS_TO_ANSWER = 5.0
MOST_SUBMITTED = 1000
"""So many tasks are with Ray at a time, running or waiting for a place."""
STEPS_A_SECOND = 300
"""So many are told at most by all trials together, about half of what one process can take."""


class RayExecutor:
    """Runs each job as a Ray task with as many CPUs as it has threads, or a GPU."""

    def __init__(self, options: ExecutorOptions) -> None:
        self._options = options

    def run(self, jobs: Sequence[Job], listener: Listener) -> None:
        """Run the jobs, the longest first, wherever there is room."""
        if not jobs:
            return
        url = self._options.artifacts
        exchange = None if url is None else RayExchange(url)
        ray = _connect(self._options.address)
        threads = self._options.threads or 1
        waiting = deque(
            replace(job, threads=threads) for job in sorted(jobs, key=lambda job: -job.seconds)
        )
        if exchange is not None:
            exchange.check_nodes(ray)
        cluster = _Cluster(ray, self._options, listener, waiting, exchange)
        try:
            cluster.run()
        except BaseException:
            cluster.stop()
            raise
        finally:
            if exchange is not None:
                exchange.clear_nodes(ray)


def _connect(address: str | None) -> Any:
    """Ray, connected to the cluster at that address, or to one of its own on this machine."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise UserError(
            "the executor ray needs the package ray",
            where="--executor",
            allowed="pip install 'peftlab[ray]', or the executors inline and pool",
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
    """OSError where nothing answers at HOST:PORT, for which Ray itself would wait very long."""
    host, colon, port = (address or "").rpartition(":")
    if colon and "/" not in host and port.isdecimal():
        socket.create_connection((host, int(port)), SECONDS_TO_ANSWER).close()


@dataclass
class _Task:
    """A job that is with Ray, and what is known of the process that runs it once it has begun."""

    job: Job
    node: str = ""
    pid: int = 0
    heard_at: float | None = None
    is_ready: bool = False
    """Whether it has imported what it needs."""
    silent_seconds: float | None = None
    """After which it was ended."""


class _Cluster:
    """The tasks that are with Ray, and the loop that listens to them."""

    def __init__(
        self,
        ray: Any,
        options: ExecutorOptions,
        listener: Listener,
        waiting: deque[Job],
        exchange: RayExchange | None,
    ) -> None:
        self._ray, self._options, self._listener = ray, options, listener
        self._waiting, self._exchange = waiting, exchange
        self._resources: dict[str, float] = ray.cluster_resources()
        self._has_gpus = self._resources.get("GPU", 0) > 0
        self._run = ray.remote(num_returns="streaming", max_retries=0)(run_told)
        self._tasks: dict[Any, _Task] = {}
        self._is_stopping = False
        self._retries = Retries()

    def run(self) -> None:
        """Run all jobs; raises what ends the study."""
        while self._waiting or self._tasks:
            stop_if_requested()
            while self._waiting and len(self._tasks) < MOST_SUBMITTED:
                self._submit(self._waiting.popleft())
            self._listen()
            self._end_the_silent()

    def stop(self) -> None:
        """Have every task save its trial and end."""
        self._is_stopping = True
        self._waiting.clear()
        for reference in self._tasks:
            self._ray.cancel(reference)
        deadline = monotonic() + SECONDS_TO_STOP
        while self._tasks and monotonic() < deadline:
            with suppress(PeftlabError):  # another error is what the study ends with
                self._listen()
        for task in self._tasks.values():
            self._listener.interrupted(task.job.trial)

    def _submit(self, job: Job) -> None:
        on_gpu = job.device.startswith("cuda") or (job.device == "auto" and self._has_gpus)
        resource, amount = ("GPU", self._options.gpus) if on_gpu else ("CPU", job.threads)
        resources = {f"num_{resource.lower()}s": amount}
        num_places = self._resources.get(resource, 0) / (amount or 1)
        job = replace(job, told_every=max(job.told_every, num_places / STEPS_A_SECOND))
        told = job if self._exchange is None else self._exchange.job_for_node(job)
        values = {"job": job_to_json(told), "artifacts": self._options.artifacts}
        reference = self._run.options(**resources).remote(json.dumps(values))
        self._tasks[reference] = _Task(job)

    def _listen(self) -> None:
        """Pass on what tasks tell within a moment."""
        references = [*self._tasks]
        ready, _ = self._ray.wait(references, timeout=POLL_SECONDS)
        if ready:
            ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        for reference in ready:
            try:
                message = json.loads(self._ray.get(next(reference)))
            except StopIteration:
                death = Death(cause="its task ended", is_killed=True, is_memory=False)
                self._gone(self._tasks.pop(reference), death)
            except (self._ray.exceptions.RayError, KeyboardInterrupt) as error:
                task = self._tasks.pop(reference)
                self._gone(task, self._death(task, error))
            else:
                self._heard(reference, message)

    def _heard(self, reference: Any, message: dict[str, Any]) -> None:
        task, event = self._tasks[reference], message["event"]
        task.heard_at = monotonic()
        if event == "started":
            task.node, task.pid = message["node"], message["pid"]
            self._listener.started(task.job.trial)
        elif event in OF_THE_PROCESS:
            task.is_ready |= message == READY
        elif event in ENDS:
            del self._tasks[reference]
            self._ended(task, message)
        elif not self._is_stopping:
            pass_on(message, task.job.trial, self._listener)

    def _ended(self, task: _Task, message: dict[str, Any]) -> None:
        """A task has told how its trial ended."""
        if self._exchange is None:
            pass_on(message, task.job.trial, self._listener)
        elif message["event"] != "finished":
            if message["event"] != "lost":
                self._exchange.bring_home(task.job)
            pass_on(message, task.job.trial, self._listener)
        elif self._bring_result(self._exchange, task, message["state"]):
            pass_on(message, task.job.trial, self._listener)
            self._exchange.forget(task.job)
        else:
            cause = f"what it left at {self._exchange.url} is damaged"
            self._gone(task, Death(cause=cause, is_killed=True, is_memory=False))

    def _bring_result(self, exchange: RayExchange, task: _Task, state: str) -> bool:
        try:
            return exchange.bring_result(task.job, state)
        except StorageError:
            self._listener.interrupted(task.job.trial)
            raise

    def _gone(self, task: _Task, death: Death) -> None:
        """A task has died: its trial has failed, or is tried again."""
        if self._is_stopping:
            if task.heard_at is not None:
                if self._exchange is not None:
                    self._exchange.bring_home(task.job)
                self._listener.interrupted(task.job.trial)
            return
        again = self._retries.after(task.job, death, self._listener)
        if not again and self._exchange is not None:
            self._exchange.bring_home(task.job)
        self._waiting.extendleft(again)

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
        """Whether the task has told something that was not listened to yet."""
        return bool(self._ray.wait([reference], timeout=0)[0])

    def _death(self, task: _Task, error: BaseException) -> Death:
        """What Ray says of it, and of a process that was ended for its silence what we know."""
        known = self._ray.exceptions
        if task.silent_seconds is not None:
            cause = no_progress(task.silent_seconds)
            return Death(cause=cause, is_killed=False, is_memory=False)
        is_memory = isinstance(error, known.OutOfMemoryError)
        is_killed = not isinstance(error, known.RayTaskError)
        return Death(
            cause=f"{type(error).__name__}: {error}", is_killed=is_killed, is_memory=is_memory
        )
