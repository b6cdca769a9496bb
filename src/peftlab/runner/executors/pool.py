"""Jobs in worker processes that stay, each of which runs one at a time.

A worker that dies takes no more than its job with it: the cause is stored, another worker takes
its place and the study goes on. Workers run in sessions of their own, so that Ctrl-C reaches the
study's process alone, which then asks them to save what they have.
"""

from __future__ import annotations

import os
import selectors
from collections import deque
from dataclasses import dataclass
from time import monotonic

from peftlab.core.interrupts import stop_if_requested
from peftlab.core.words import counted
from peftlab.engine.devices.registry import resolve
from peftlab.engine.events import End, Interrupted, Listener, Remarked, Started
from peftlab.engine.job import Job
from peftlab.runner.cost import end_of
from peftlab.runner.executors.base import ExecutorOptions, JobSource
from peftlab.runner.executors.retry import POLL_SECONDS, SECONDS_TO_STOP, Retries
from peftlab.runner.messages import Message, RateMeasured, pass_on
from peftlab.runner.worker_process import WorkerProcess

WORTH_MEASURING = 60.0
"""Seconds: a shorter study is not worth finding out what suits it best."""
MEASURED_SECONDS = 3.0


class PoolExecutor:
    """Runs jobs in worker processes, the longest first."""

    def __init__(self, options: ExecutorOptions) -> None:
        self._options = options

    def run(self, source: JobSource, tell: Listener) -> None:
        """Run the jobs, as many at a time as there are workers.

        Without options there is a worker a core, or what is measured to be fastest where the jobs
        are known and take long.
        """
        if not source.most:
            return
        is_long = sum(job.seconds for job in source.known) >= WORTH_MEASURING
        layout = _given(self._options, source.device, source.most, is_long=is_long)
        pool = _Pool(self._options, tell)
        try:
            layout = layout or _fastest(pool, source)
            pool.run(source.spread(layout.workers).longest_first(), layout)
        except BaseException:
            pool.stop()
            raise
        finally:
            pool.close()


@dataclass(frozen=True, kw_only=True)
class WorkerLayout:
    """The number of workers, and the number of CPU threads of each."""

    workers: int
    threads: int | None

    def __str__(self) -> str:
        workers = counted(self.workers, "worker")
        threads = {None: "", 1: ", 1 thread each"}.get(
            self.threads, f", {self.threads} threads each"
        )
        return workers + threads


def _given(
    options: ExecutorOptions, device: str, num_jobs: int, *, is_long: bool
) -> WorkerLayout | None:
    """Return the layout where user, device or study leave no choice; None where there is one."""
    cores = os.cpu_count() or 1
    workers, threads = options.workers, options.threads
    if not resolve(device).shares_cores:
        return WorkerLayout(workers=workers or 1, threads=None)
    if workers is None and threads is None and cores > 1:
        if is_long:
            return None
        threads = 1
    workers = min(workers or max(1, cores // (threads or cores)), num_jobs)
    return WorkerLayout(workers=workers, threads=threads or max(1, cores // workers))


def _fastest(pool: _Pool, source: JobSource) -> WorkerLayout:
    """Return the number of workers, and the threads of each, with which the study ends first.

    It follows from the speed at which the first trial of the longest job trains in each number of
    workers at once.
    """
    cores = os.cpu_count() or 1
    most = min(cores, source.most)
    longest = source.longest_first().known[0]
    counts = [count for count in range(1, most + 1) if cores % count == 0]
    counts = [count for count in counts if count & (count - 1) == 0 or count == most]
    pool.resize(counts[-1])
    # The first time everything is read and compiled.
    pool.measure(counts[-1], longest.with_settings(threads=1), 0.0)
    rates = {}
    for count in counts:
        job = longest.with_settings(threads=cores // count)
        rates[count] = pool.measure(count, job, MEASURED_SECONDS)

    def end(count: int) -> float:
        jobs = source.spread(count).longest_first().known
        return end_of([job.seconds for job in jobs], count) * count / max(rates[count], 1e-9)

    best = min(counts, key=end)
    return WorkerLayout(workers=best, threads=cores // best)


class _Pool:
    """The workers, and the loop that gives them jobs and passes on what they tell."""

    def __init__(self, options: ExecutorOptions, tell: Listener) -> None:
        self._options, self._tell = options, tell
        self._again: deque[Job] = deque()
        self._selector = selectors.DefaultSelector()
        self._workers: list[WorkerProcess] = []
        self._num_started, self._size = 0, 0
        self._retries = Retries()
        self._rates: list[float] = []
        self._is_stopping = False

    def resize(self, count: int) -> None:
        """Start or let go workers until there are `count`; those let go have nothing to do."""
        self._size = count
        while len(self._workers) < count:
            self._add_worker()
        for worker in self._workers[count:]:
            self._let_go(worker)

    def measure(self, count: int, job: Job, seconds: float) -> float:
        """Return the examples a second of `count` workers together that train the job's trial."""
        self._rates = []
        for worker in self._workers[:count]:
            worker.measure(job, seconds)
        while self._busy():
            stop_if_requested()
            self._listen()
        return sum(self._rates)

    def run(self, source: JobSource, layout: WorkerLayout) -> None:
        """Run jobs until there are none; raises what ends the study."""
        self.resize(layout.workers)
        self._tell(Remarked(text=str(layout)))
        while self._give(source, layout) or self._busy():
            stop_if_requested()
            self._listen()
            for worker in self._busy():
                if worker.is_silent(self._options.stall_seconds):
                    worker.kill(because_it_stalled=True)

    def _give(self, source: JobSource, layout: WorkerLayout) -> bool:
        """Give jobs to those that have none, and to new workers in the place of dead ones.

        Return whether there was one to give.
        """
        is_given = False
        while len(self._busy()) < self._size:
            job = self._again.popleft() if self._again else source.next_job()
            if job is None:
                break
            if len(self._busy()) == len(self._workers):
                self._add_worker()
            worker = next(worker for worker in self._workers if worker.job is None)
            for trial in job.trials:
                self._tell(Started(trial=trial))
            worker.run(job.with_settings(threads=layout.threads, is_alone=layout.workers == 1))
            is_given = True
        return is_given

    def stop(self) -> None:
        """Ask every worker to save its trials and end."""
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
            self._interrupted(worker)
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
        if isinstance(message, RateMeasured):
            self._rates.append(message.rate)
        elif not self._is_stopping or isinstance(message, End):
            pass_on(message, self._tell)

    def _ended(self, worker: WorkerProcess) -> None:
        """Note that a worker is gone. The trials that it had have failed or are tried again."""
        if self._is_stopping:
            self._interrupted(worker)
        elif worker.job is not None and worker.open_trials:
            again = self._retries.after(worker.job, worker.open_trials, worker.death(), self._tell)
            self._again.extendleft(again)
        worker.job = None
        worker.open_trials.clear()
        self._let_go(worker)

    def _interrupted(self, worker: WorkerProcess) -> None:
        """Tell that what the worker has not ended was stopped."""
        for trial_id in sorted(worker.open_trials):
            self._tell(Interrupted(trial_id=trial_id))
        worker.open_trials.clear()
