"""The moments of a process: each change of a file, SQL statement, and relevant call.

They are named by what is about to happen ("os.rename in artifacts"), counted, and one of them may
be the process's last. The product knows nothing of this: changes of files are noticed by an audit
hook, statements by a trace of each connection, and calls are wrapped.
"""

from __future__ import annotations

import functools
import io
import json
import os
import re
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peftlab.core.files import ASIDE
from tests.kills.blow import Blow, kill
from tests.kills.forked import alive, note_worker

CALLS = (
    "peftlab.data.encode:encode",
    "peftlab.data.encode:_write",
    "peftlab.models.tokenizer:HubTokenizer.__call__",
    "peftlab.data.states:_write",
    "peftlab.models.fused_model:FusedModel.states",
    "peftlab.engine.steps:Steps.take",
    "peftlab.engine.steps:Steps._backward",
    "peftlab.engine.steps:Steps.restore",
    "peftlab.engine.trainer:_OrderedTrainer.training_step",
    "peftlab.engine.trainer:_OrderedTrainer.prediction_step",
    "peftlab.engine.trainer:_Recorder._predict",
    "peftlab.engine.loop:record_evaluation",
    "peftlab.engine.evaluate:predict_split",
    "peftlab.engine.tally:score",
    "peftlab.engine.evaluate:stop_if_requested",  # once a batch
    "peftlab.engine.reported:ReportedEvaluation.offer",
    "peftlab.engine.checkpoint:Checkpoints.save",
    "peftlab.engine.checkpoint:Checkpoints.newest",
    "peftlab.engine.reported:write_predictions",
    "peftlab.engine.attempt:_save",
    "peftlab.core.files:sync",
    "peftlab.store.workspace:Workspace.start",
    "peftlab.store.workspace:Workspace.add_evaluation",
    "peftlab.store.workspace:Workspace.pause",
    "peftlab.store.workspace:Workspace.prune",
    "peftlab.store.workspace:Workspace.finish",
    "peftlab.runner.worker_process:WorkerProcess.run",
    "peftlab.runner.executors.pool:_Pool._heard",
    "peftlab.report.pages.files:draw",
    "peftlab.report.pages.files:render_html",
    "peftlab.report.pages.files:csv_text",
    "peftlab.report.pages.files:write_whole_files",
    "peftlab.outputs.export:merged_alike",
    "peftlab.outputs.export:save_tokenizer",
    "peftlab.outputs.export:model_card",
    "peftlab.runner.sampler:Sampler.next_batch",
    "peftlab.runner.sampler:Sampler.given_up",
    "peftlab.runner.sampler:Sampler.end",
    "peftlab.runner.tune:_Feeder._place",
)
CHANGES = {
    "os.rename": (0, 2),
    "os.remove": (0, 1),
    "os.rmdir": (0, 1),
    "os.mkdir": (0, 2),
    "os.truncate": (0, None),
}
"""The audit events that change files, with the positions of the path and of its base folder."""
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
STATEMENT = re.compile(
    r"\s*(BEGIN|COMMIT|ROLLBACK|CREATE|ALTER|DROP"
    r"|(?:INSERT(?: OR REPLACE)? INTO|UPDATE|DELETE FROM) +\"?\w+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Told:
    """The instructions for a process: its folder, its last moment, and its folder for traces.

    In `traces`, the file `struck` exists once the blow has fallen, which happens once; `counts` has
    a file for each process that ended by itself, and `workers` one for each worker.
    """

    root: Path
    traces: Path
    blow: Blow | None


class Moments:
    """The moments of this process; `role` is the "driver" or a "worker" of a pool, or ""."""

    def __init__(self, told: Told, role: str) -> None:
        self._told, self._role = told, role
        self._is_busy = False
        self.counts: Counter[str] = Counter()

    def begin(self) -> None:
        """Count the moments, and die at the last one."""
        for call in CALLS:
            self._wrap(call)
        opened = io.open

        @functools.wraps(opened)
        def and_tell(file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
            stream = opened(file, mode, *more, **named)
            if not mode.startswith("r") and (place := self._place(file)):
                self._come(f"opened in {place}")
            return stream

        connect = sqlite3.connect

        @functools.wraps(connect)
        def traced(*given: Any, **named: Any) -> Any:
            connection = connect(*given, **named)
            connection.set_trace_callback(self._statement)
            return connection

        io.open = and_tell
        sqlite3.connect = sqlite3.dbapi2.connect = traced
        sys.addaudithook(self._audit)

    def begin_worker(self) -> None:
        """Begin again in a process that has been forked from the driver as a worker."""
        self._role = "worker"
        self.counts.clear()
        self._is_busy = True
        note_worker(self._told.traces / "workers")
        self._is_busy = False

    def leave_counts(self) -> None:
        """Write how often each moment came, and the modules that the process has imported."""
        self._is_busy = True
        found = {"counts": self.counts, "modules": [*sys.modules]}
        (self._told.traces / "counts" / f"{os.getpid()}.json").write_text(json.dumps(found))

    def _come(self, moment: str) -> None:
        moment = f"{self._role}: {moment}" if self._role else moment
        self.counts[moment] += 1
        blow = self._told.blow
        if blow and blow.moment == moment and self.counts[moment] == blow.number:
            self._strike(blow)

    def _strike(self, blow: Blow) -> None:
        self._is_busy = True
        try:
            os.close(os.open(self._told.traces / "struck", os.O_CREAT | os.O_EXCL))
        except FileExistsError:  # another worker was first
            self._is_busy = False
            return
        own = os.getpid()
        driver = os.getppid() if self._role == "worker" else own
        if blow.victim == "worker":
            kill([own])
        others = alive(self._told.traces / "workers") if blow.victim == "all" else []
        kill([driver] if driver != own else [])
        kill(pid for pid in others if pid != own)
        if driver == own or blow.victim == "all":
            kill([own])
        self._is_busy = False  # a worker whose driver is dead: it is to end without our help

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._is_busy:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & WRITES and (place := self._place(path)):
                self._come(f"open in {place}")
        elif event in CHANGES:
            where, relative_to = CHANGES[event]
            folder = arguments[relative_to] if relative_to is not None else -1
            if place := self._place(arguments[where], folder):
                self._come(f"{event} in {place}")

    def _statement(self, text: str) -> None:
        found = STATEMENT.match(text)
        if found and not self._is_busy:
            self._come(f"statement {found[1]}")

    def _place(self, path: Any, folder: int = -1) -> str:
        """Return the folder at the root that contains the path; "" for a path elsewhere."""
        if not isinstance(path, str | bytes | os.PathLike):
            return ""
        base = f"/proc/self/fd/{folder}" if isinstance(folder, int) and folder >= 0 else ""
        full = Path(os.path.realpath(base) if base else "", os.fsdecode(path)).absolute()
        if not full.is_relative_to(self._told.root):
            return ""
        within = full.relative_to(self._told.root).parts
        if not within:
            return "the top"
        if within[0] == "workspace" and len(within) > 1:
            within = within[1:]
        if within[0].startswith(ASIDE):
            return "what is aside"
        return within[0] if len(within) > 1 or "." not in within[0] else "the top"

    def _wrap(self, call: str) -> None:
        """Wrap a function in all imported modules, to be told before and after each call."""
        module, _, path = call.partition(":")
        owner: Any = sys.modules.get(module)
        if owner is None:
            return
        *folders, name = path.split(".")
        owner = functools.reduce(getattr, folders, owner)
        setattr(owner, name, self._telling(getattr(owner, name), path))

    def _telling(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*given: Any, **named: Any) -> Any:
            self._come(name)
            result = function(*given, **named)
            self._come(f"{name}, done")
            return result

        return call
