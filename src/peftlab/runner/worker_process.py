"""A worker (worker.py) as the study's process sees it: told jobs, listened to, found dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic

from peftlab.engine.events import Failed, Finished, Interrupted, Paused
from peftlab.engine.job import Job
from peftlab.runner.executors.retry import Death, no_progress, seconds_of_silence
from peftlab.runner.messages import (
    MESSAGES,
    Busy,
    Done,
    MeasureRate,
    Message,
    Ready,
    RunJob,
    to_line,
)

WORKER = "peftlab.runner.worker"
SECONDS_TO_END = 5.0
LOG_TAIL = 2000
"""The characters of a dead worker's log that are kept."""
MEMORY_EVENTS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))
"""The files in which Linux counts the processes that it killed for lack of memory."""


class WorkerProcess:
    """One process and its activity: `job` is None while it has nothing to do.

    `open_trials` are those of the job that it runs which are not told to have ended.
    """

    def __init__(self, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.job: Job | None = None
        self.open_trials: set[str] = set()
        self.has_ended = False
        self._heard_at = monotonic()
        self._is_ready = False
        self._log = log
        self._log_start = 0
        self._stalled = False
        self._unread = b""
        self._oom_kills = _count_oom_kills()
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", WORKER, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input = self._process.stdin
        self.output = self._process.stdout

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def run(self, job: Job) -> None:
        """Make the process run a job."""
        self.open_trials = {trial.id for trial in job.trials}
        self._ask(RunJob(job=job))

    def measure(self, job: Job, seconds: float) -> None:
        """Ask the process to measure the training speed of the job's trial."""
        self._ask(MeasureRate(job=job, seconds=seconds))

    def _ask(self, request: RunJob | MeasureRate) -> None:
        self.job = request.job
        self._heard_at = monotonic()
        self._log_start = self._log.stat().st_size
        with suppress(BrokenPipeError):  # it has died, which `read` will find
            self._input.write(to_line(request).encode() + b"\n")
            self._input.flush()

    def read(self) -> list[Message]:
        """Return the messages about the job; call this when `output` can be read."""
        found = os.read(self.output.fileno(), 1 << 20)
        if not found:
            self.has_ended = True
            return []
        self._heard_at = monotonic()
        *lines, self._unread = (self._unread + found).split(b"\n")
        messages = [MESSAGES.validate_json(line) for line in lines]
        for message in messages:
            match message:
                case Ready():
                    self._is_ready = True
                case Finished() | Paused() | Failed() | Interrupted():
                    self.open_trials.discard(message.trial_id)
                case Done():
                    self.job = None
        return [message for message in messages if not isinstance(message, Ready | Busy | Done)]

    def is_silent(self, stall_seconds: float) -> bool:
        """Return whether the process has been silent for too long, imports not counted."""
        most = seconds_of_silence(stall_seconds, is_ready=self._is_ready)
        return monotonic() - self._heard_at > most

    def ask_to_stop(self) -> None:
        """Make the process save its trials and end."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self, *, because_it_stalled: bool = False) -> None:
        """End the process at once."""
        self._stalled = because_it_stalled
        self._process.kill()

    def close(self) -> None:
        """End the process if it still runs, and release everything that belongs to it."""
        with suppress(BrokenPipeError):
            self._input.close()
        if self.job is not None:
            self._process.kill()
        try:
            self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.output.close()

    def death(self) -> Death:
        """Return why the process has ended."""
        status = self._process.wait()
        is_killed = status == -signal.SIGKILL and not self._stalled
        is_memory = is_killed and _count_oom_kills() > self._oom_kills
        if self._stalled:
            words = no_progress(monotonic() - self._heard_at)
        elif is_memory:
            words = "out of memory: the system has ended its process"
        elif status < 0:
            words = f"its process was ended by {signal.Signals(-status).name}"
        else:
            words = f"its process ended with status {status}"
        return Death(cause=self._with_log(words), is_killed=is_killed, is_memory=is_memory)

    def _with_log(self, words: str) -> str:
        """Return the words, and below them the end of the process's output during the job."""
        with self._log.open("rb") as stream:
            stream.seek(self._log_start)
            text = stream.read().decode(errors="replace")
        return f"{words}\n{text[-LOG_TAIL:]}".rstrip()


def _count_oom_kills() -> int:
    """Return how many processes were killed for lack of memory; 0 if they are not counted."""
    for path in MEMORY_EVENTS:
        with suppress(OSError, ValueError):
            for line in path.read_text().splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return 0
