"""Trials as tasks of a Ray cluster (Moritz et al. 2018, arXiv 1712.05889).

Ray finds a place for a trial, and knows when a node or a process is gone. A task streams the
messages of its trial back to the study's process, which alone writes results; the workspace's
folder must be one that all nodes share. A trial whose node died is tried again elsewhere, from its
last checkpoint.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import socket
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

from peftlab.core.errors import UserError, first_line
from peftlab.core.interrupts import forget_request, request_stop, stop_if_requested
from peftlab.runner.executors.base import ExecutorOptions, Job, Listener
from peftlab.runner.executors.retry import POLL_SECONDS, SECONDS_TO_STOP, Death, Retries
from peftlab.runner.messages import ENDS, job_to_json, pass_on

SECONDS_TO_ANSWER = 5.0
MOST_SUBMITTED = 1000
"""So many tasks are with Ray at a time, running or waiting for a place."""


class RayExecutor:
    """Runs each job as a Ray task with as many CPUs as it has threads, or a GPU."""

    def __init__(self, options: ExecutorOptions) -> None:
        self._options = options

    def run(self, jobs: Sequence[Job], listener: Listener) -> None:
        """Run the jobs, the longest first, wherever there is room."""
        if not jobs:
            return
        ray = _connect(self._options.address)
        threads = self._options.threads or 1
        waiting = deque(
            replace(job, threads=threads) for job in sorted(jobs, key=lambda job: -job.seconds)
        )
        cluster = _Cluster(ray, self._options, listener, waiting)
        try:
            cluster.run()
        except BaseException:
            cluster.stop()
            raise


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
            f"no Ray cluster there: {first_line(str(error))}",
            where=f"--address {address}",
            allowed="auto, or HOST:PORT of a cluster that 'ray start' began",
        ) from error
    return ray


def _require_answer(address: str | None) -> None:
    """OSError where nothing answers at HOST:PORT, for which Ray itself would wait very long."""
    host, colon, port = (address or "").rpartition(":")
    if colon and "/" not in host and port.isdecimal():
        socket.create_connection((host, int(port)), SECONDS_TO_ANSWER).close()


class _Cluster:
    """The tasks that are with Ray, and the loop that listens to them."""

    def __init__(
        self, ray: Any, options: ExecutorOptions, listener: Listener, waiting: deque[Job]
    ) -> None:
        self._ray, self._options, self._listener = ray, options, listener
        self._waiting = waiting
        self._has_gpus = ray.cluster_resources().get("GPU", 0) > 0
        self._run = ray.remote(num_returns="streaming", max_retries=0)(run_told)
        self._tasks: dict[Any, Job] = {}
        self._started: set[Any] = set()
        self._is_stopping = False
        self._retries = Retries()

    def run(self) -> None:
        """Run all jobs; raises what ends the study."""
        while self._waiting or self._tasks:
            stop_if_requested()
            while self._waiting and len(self._tasks) < MOST_SUBMITTED:
                self._submit(self._waiting.popleft())
            self._listen()

    def stop(self) -> None:
        """Have every task save its trial and end."""
        self._is_stopping = True
        self._waiting.clear()
        for task in self._tasks:
            self._ray.cancel(task)
        deadline = monotonic() + SECONDS_TO_STOP
        while self._tasks and monotonic() < deadline:
            self._listen()
        for job in self._tasks.values():
            self._listener.interrupted(job.trial)

    def _submit(self, job: Job) -> None:
        on_gpu = job.device.startswith("cuda") or (job.device == "auto" and self._has_gpus)
        resources = {"num_gpus": self._options.gpus} if on_gpu else {"num_cpus": job.threads}
        task = self._run.options(**resources).remote(json.dumps(job_to_json(job)))
        self._tasks[task] = job

    def _listen(self) -> None:
        """Pass on what tasks tell within a moment."""
        ready, _ = self._ray.wait([*self._tasks], timeout=POLL_SECONDS)
        for task in ready:
            try:
                message = json.loads(self._ray.get(next(task)))
            except StopIteration:
                self._gone(task, Death(cause="its task ended", is_killed=True, is_memory=False))
            except (self._ray.exceptions.RayError, KeyboardInterrupt) as error:
                self._gone(task, self._death(error))
            else:
                self._heard(task, message)

    def _heard(self, task: Any, message: dict[str, Any]) -> None:
        job, event = self._tasks[task], message["event"]
        if event == "started":
            self._started.add(task)
            self._listener.started(job.trial)
        elif event in ENDS:
            del self._tasks[task]
            pass_on(message, job.trial, self._listener)
        elif not self._is_stopping:
            pass_on(message, job.trial, self._listener)

    def _gone(self, task: Any, death: Death) -> None:
        """A task has died: its trial has failed, or is tried again."""
        job = self._tasks.pop(task)
        if self._is_stopping:
            if task in self._started:
                self._listener.interrupted(job.trial)
            return
        self._waiting.extendleft(self._retries.after(job, death, self._listener))

    def _death(self, error: BaseException) -> Death:
        """What Ray says of it."""
        known = self._ray.exceptions
        is_memory = isinstance(error, known.OutOfMemoryError)
        is_killed = not isinstance(error, known.RayTaskError)
        return Death(
            cause=f"{type(error).__name__}: {error}", is_killed=is_killed, is_memory=is_memory
        )


def run_told(told: str) -> Iterator[str]:
    """A task: run a trial, told as JSON, and give the messages of how it goes as they come."""
    from peftlab.runner.worker import Worker

    forget_request()
    messages: queue.Queue[str | None] = queue.Queue()

    def work() -> None:
        Worker(lambda message: messages.put(json.dumps(message))).do(
            {"do": "run", "job": json.loads(told)}
        )
        messages.put(None)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield json.dumps({"event": "started"})
        while (message := messages.get()) is not None:
            yield message
    finally:  # the task may have been cancelled: the trial is saved first
        request_stop()
        thread.join()
