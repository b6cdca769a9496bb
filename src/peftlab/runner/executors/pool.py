"""Trials in worker processes that stay, each of which runs one at a time.

A worker that dies takes no more than its trial with it: the cause is stored, another worker takes
its place and the study goes on. Workers run in sessions of their own, so that Ctrl-C reaches the
study's process alone, which then asks them to save what they have.
"""

from __future__ import annotations

import os
import selectors
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from heapq import heapreplace
from time import monotonic

from peftlab.core.interrupts import stop_if_requested
from peftlab.core.words import counted
from peftlab.engine.prepare import choose_device
from peftlab.runner.executors.base import ExecutorOptions, Job, Listener, NextJob
from peftlab.runner.executors.retry import POLL_SECONDS, SECONDS_TO_STOP, Retries
from peftlab.runner.messages import ENDS, Message, pass_on
from peftlab.runner.worker_process import WorkerProcess

WORTH_MEASURING = 60.0
"""Seconds: a shorter study is not worth finding out what suits it best."""
MEASURED_SECONDS = 3.0


class PoolExecutor:
    """Runs jobs in worker processes, the longest first."""

    def __init__(self, options: ExecutorOptions) -> None:
        self._options = options

    def run(self, jobs: Sequence[Job], listener: Listener) -> None:
        """Run the jobs, as many at a time as there are workers."""
        if not jobs:
            return
        jobs = sorted(jobs, key=lambda job: -job.seconds)
        is_long = sum(job.seconds for job in jobs) >= WORTH_MEASURING
        layout = _given(self._options, jobs[0].device, len(jobs), is_long=is_long)
        waiting = iter(jobs)
        with self._pool(listener) as pool:
            pool.run(lambda: next(waiting, None), layout or _fastest(pool, jobs))

    def feed(self, next_job: NextJob, listener: Listener, *, device: str, most: int) -> None:
        """Run the jobs as they come; without options a worker a core, since no time is known."""
        layout = _given(self._options, device, most, is_long=False)
        assert layout is not None
        with self._pool(listener) as pool:
            pool.run(next_job, layout)

    @contextmanager
    def _pool(self, listener: Listener) -> Iterator[_Pool]:
        pool = _Pool(self._options, listener)
        try:
            yield pool
        except BaseException:
            pool.stop()
            raise
        finally:
            pool.close()


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How many workers there are, and how many threads each has on a CPU."""

    workers: int
    threads: int | None

    def __str__(self) -> str:
        workers = counted(self.workers, "worker")
        threads = {None: "", 1: ", 1 thread each"}.get(
            self.threads, f", {self.threads} threads each"
        )
        return workers + threads


def _given(options: ExecutorOptions, device: str, num_jobs: int, *, is_long: bool) -> Layout | None:
    """What the user, the device or the study leaves no choice about; None where there is one."""
    cores = os.cpu_count() or 1
    workers, threads = options.workers, options.threads
    if choose_device(device).type != "cpu":
        return Layout(workers=workers or 1, threads=None)
    if workers is None and threads is None and cores > 1:
        if is_long:
            return None
        threads = 1
    workers = min(workers or max(1, cores // (threads or cores)), num_jobs)
    return Layout(workers=workers, threads=threads or max(1, cores // workers))


def _fastest(pool: _Pool, jobs: Sequence[Job]) -> Layout:
    """The layout in which the study ends first.

    Told from how fast its longest trial trains in so many workers at once.
    """
    cores = os.cpu_count() or 1
    most = min(cores, len(jobs))
    counts = [count for count in range(1, most + 1) if cores % count == 0]
    counts = [count for count in counts if count & (count - 1) == 0 or count == most]
    pool.resize(counts[-1])
    pool.measure(counts[-1], replace(jobs[0], threads=1), 0.0)  # everything is read and compiled
    rates = {}
    for count in counts:
        job = replace(jobs[0], threads=cores // count)
        rates[count] = pool.measure(count, job, MEASURED_SECONDS)
    seconds = [job.seconds for job in jobs]
    best = min(counts, key=lambda count: end_of(seconds, count) * count / max(rates[count], 1e-9))
    return Layout(workers=best, threads=cores // best)


def end_of(seconds: Sequence[float], workers: int) -> float:
    """When the last of the trials ends if each worker takes the next as soon as it is free.

    >>> end_of([3.0, 2.0, 2.0, 1.0], 2)
    4.0
    """
    free = [0.0] * workers
    for one in seconds:
        heapreplace(free, free[0] + one)
    return max(free)


class _Pool:
    """The workers, and the loop that gives them jobs and passes on what they tell."""

    def __init__(self, options: ExecutorOptions, listener: Listener) -> None:
        self._options, self._listener = options, listener
        self._again: deque[Job] = deque()
        self._selector = selectors.DefaultSelector()
        self._workers: list[WorkerProcess] = []
        self._num_started, self._size = 0, 0
        self._retries = Retries()
        self._rates: list[float] = []
        self._is_stopping = False

    def resize(self, count: int) -> None:
        """Have so many workers; those that are let go have nothing to do."""
        self._size = count
        while len(self._workers) < count:
            self._add_worker()
        for worker in self._workers[count:]:
            self._let_go(worker)

    def measure(self, count: int, job: Job, seconds: float) -> float:
        """Examples a second of so many workers together, each training the job's trial."""
        self._rates = []
        for worker in self._workers[:count]:
            worker.measure(job, seconds)
        while self._busy():
            stop_if_requested()
            self._listen()
        return sum(self._rates)

    def run(self, next_job: NextJob, layout: Layout) -> None:
        """Run jobs until there are none; raises what ends the study."""
        self.resize(layout.workers)
        self._listener.remarked(str(layout))
        while self._give(next_job, layout) or self._busy():
            stop_if_requested()
            self._listen()
            for worker in self._busy():
                if worker.is_silent(self._options.stall_seconds):
                    worker.kill(because_it_stalled=True)

    def _give(self, next_job: NextJob, layout: Layout) -> bool:
        """Give jobs to those that have none, and to new workers in the place of dead ones.

        Whether there was one to give.
        """
        is_given = False
        while len(self._busy()) < self._size:
            job = self._again.popleft() if self._again else next_job()
            if job is None:
                break
            if len(self._busy()) == len(self._workers):
                self._add_worker()
            worker = next(worker for worker in self._workers if worker.job is None)
            self._listener.started(job.trial)
            is_alone = layout.workers == 1
            worker.run(replace(job, threads=layout.threads, is_alone=is_alone))
            is_given = True
        return is_given

    def stop(self) -> None:
        """Have every worker save its trial and end."""
        self._is_stopping = True
        self._again.clear()
        for worker in self._workers:
            worker.ask_to_stop()
        deadline = monotonic() + SECONDS_TO_STOP
        while self._busy() and monotonic() < deadline:
            self._listen()

    def close(self) -> None:
        """End the workers, whatever they are doing."""
        for worker in [*self._workers]:
            if worker.job is not None and worker.is_running_trial:
                self._listener.interrupted(worker.job.trial)
            self._let_go(worker)
        self._selector.close()

    def _add_worker(self) -> None:
        worker = WorkerProcess(self._options.logs / f"worker-{self._num_started}.log")
        self._num_started += 1
        self._workers.append(worker)
        self._selector.register(worker.output, selectors.EVENT_READ, worker)

    def _let_go(self, worker: WorkerProcess) -> None:
        self._selector.unregister(worker.output)
        self._workers.remove(worker)
        worker.close()

    def _busy(self) -> list[WorkerProcess]:
        return [worker for worker in self._workers if worker.job is not None]

    def _listen(self) -> None:
        """Pass on what the workers tell within a moment."""
        for key, _ in self._selector.select(POLL_SECONDS):
            worker: WorkerProcess = key.data
            for message in worker.read():
                self._heard(worker, message)
            if worker.has_ended:
                self._ended(worker)

    def _heard(self, worker: WorkerProcess, message: Message) -> None:
        job, is_trial = worker.job, worker.is_running_trial
        if job is None:
            return
        if message["event"] in ENDS:
            worker.job = None
        if message["event"] == "measured":
            self._rates.append(message["rate"])
        elif (is_trial and not self._is_stopping) or message["event"] in ENDS:
            pass_on(message, job.trial, self._listener)

    def _ended(self, worker: WorkerProcess) -> None:
        """A worker is gone. Its trial, if it had one, has failed or is tried again."""
        job = worker.job if worker.is_running_trial else None
        worker.job = None
        if job is not None:
            if self._is_stopping:
                self._listener.interrupted(job.trial)
            else:
                self._again.extendleft(self._retries.after(job, worker.death(), self._listener))
        self._let_go(worker)
