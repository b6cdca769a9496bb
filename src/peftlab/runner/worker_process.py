"""A worker (worker.py) as the study's process sees it: told jobs, listened to, found dead."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic

from peftlab.runner.executors.base import Job
from peftlab.runner.executors.retry import Death, no_progress, seconds_of_silence
from peftlab.runner.messages import OF_THE_PROCESS, READY, Message, job_to_json

WORKER = "peftlab.runner.worker"
SECONDS_TO_END = 5.0
LOG_TAIL = 2000
"""Characters of a worker's log that are kept of a death."""
MEMORY_EVENTS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))
"""Where Linux counts the processes that it has killed for want of memory."""


class WorkerProcess:
    """One process; `job` is what it was last told to do, until the user of this class clears it."""

    def __init__(self, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.job: Job | None = None
        self.has_ended = False
        self._does = ""
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
    def is_running_trial(self) -> bool:
        """Whether what it was last told to do is a trial, and not done yet."""
        return self.job is not None and self._does == "run"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def run(self, job: Job) -> None:
        """Have it run a job's trial."""
        self._tell(job, {"do": "run"})

    def measure(self, job: Job, seconds: float) -> None:
        """Have it measure how fast the job's trial trains."""
        self._tell(job, {"do": "measure", "seconds": seconds})

    def _tell(self, job: Job, what: Message) -> None:
        self.job, self._does = job, what["do"]
        self._heard_at = monotonic()
        self._log_start = self._log.stat().st_size
        line = json.dumps({**what, "job": job_to_json(job)})
        with suppress(BrokenPipeError):  # it has died, which `read` will find
            self._input.write(line.encode() + b"\n")
            self._input.flush()

    def read(self) -> list[Message]:
        """What it tells of its job; to be called when `output` can be read."""
        found = os.read(self.output.fileno(), 1 << 20)
        if not found:
            self.has_ended = True
            return []
        self._heard_at = monotonic()
        *lines, self._unread = (self._unread + found).split(b"\n")
        messages = [json.loads(line) for line in lines]
        self._is_ready |= READY in messages
        return [message for message in messages if message["event"] not in OF_THE_PROCESS]

    def is_silent(self, stall_seconds: float) -> bool:
        """Whether it has told nothing for so long; importing what it needs is not counted."""
        most = seconds_of_silence(stall_seconds, is_ready=self._is_ready)
        return monotonic() - self._heard_at > most

    def ask_to_stop(self) -> None:
        """Have it save its trial and end."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self, *, because_it_stalled: bool = False) -> None:
        """End it at once."""
        self._stalled = because_it_stalled
        self._process.kill()

    def close(self) -> None:
        """End it if it has not, and let go of everything that belongs to it."""
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
        """Of what it died."""
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
        """The words, and below them the end of what the process has printed during the trial."""
        with self._log.open("rb") as stream:
            stream.seek(self._log_start)
            text = stream.read().decode(errors="replace")
        return f"{words}\n{text[-LOG_TAIL:]}".rstrip()


def _count_oom_kills() -> int:
    """How many processes have been killed for want of memory; 0 where nobody counts them."""
    for path in MEMORY_EVENTS:
        with suppress(OSError, ValueError):
            for line in path.read_text().splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return 0
