"""The result of each undisturbed command, and the folders in which commands are killed."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sqlite3
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peftlab.core.files import ASIDE
from tests.kills.blow import Blow
from tests.kills.child import Ended, carry_out
from tests.kills.readings import Readings, differences, read
from tests.kills.scenes import COMMANDS, SEARCH, STUDY, Command

SECONDS_BETWEEN = 5.0
"""The apparent seconds between a kill and the next command, for code that reads files' ages."""


@dataclass(frozen=True, kw_only=True)
class Unkilled:
    """An undisturbed command: its moments, its time, its results and its output."""

    moments: dict[str, int]
    seconds: float
    readings: Readings
    out: str


@dataclass
class World:
    """A folder with a checkpoint, studies, and the results of commands.

    All commands work in the same folder, one after another, since their results contain paths.
    """

    folder: Path
    _unkilled: dict[str, Unkilled] = field(default_factory=dict)

    @property
    def checkpoint(self) -> Path:
        """The folder of a tiny BERT, which the user of this class has to make."""
        return self.folder / "tiny-bert"

    @property
    def root(self) -> Path:
        """The folder in which commands are run."""
        return self.folder / "work"

    def unkilled(self, name: str) -> Unkilled:
        """Return the undisturbed result of the command, which is found only once."""
        if name not in self._unkilled:
            if COMMANDS[name].is_like:
                self.unkilled(COMMANDS[name].is_like)
            self.make_ready(name)
            ended = self.give(name)
            assert ended.status == 0, f"{name}: status {ended.status}\n{ended.out}\n{ended.err}"
            readings = read(self.root, is_timed=COMMANDS[name].is_timed)
            self._unkilled[name] = Unkilled(
                moments=self._moments(),
                seconds=ended.seconds,
                readings=readings,
                out=ended.out,
            )
            shutil.rmtree(self._left(name), ignore_errors=True)
            shutil.copytree(self.root, self._left(name))
        return self._unkilled[name]

    def make_ready(self, name: str) -> None:
        """Restore the folder to its state before the command is first given."""
        before = COMMANDS[name].after
        if before:
            self.unkilled(before)
        shutil.rmtree(self.root, ignore_errors=True)
        if before:
            shutil.copytree(self._left(before), self.root)
            return
        self.root.mkdir(parents=True)
        for file, study in (("killed.yaml", STUDY), ("search.yaml", SEARCH)):
            content = json.dumps({**study, "model": str(self.checkpoint)})
            (self.root / file).write_text(content)

    def give(self, name: str, blow: Blow | None = None) -> Ended:
        """Give the command in the folder as it is now; it may be killed."""
        command = COMMANDS[name]
        arguments = [*command.arguments]
        if command.of_arm:
            arguments.append(self._trial_of(command.of_arm))
        ended = carry_out(
            arguments,
            self.root,
            self.folder / "traces",
            blow,
            of_pool=command.of_pool,
            draws=command.draws,
        )
        then = time.time() - SECONDS_BETWEEN
        for aside in self.root.rglob(f"{ASIDE}*"):
            os.utime(aside, (then, then))
        return ended

    def faults(self, name: str, ended: Ended) -> list[str]:
        """Return the differences from the undisturbed result, after this end of the command."""
        command: Command = COMMANDS[name]
        wanted = self.unkilled(command.is_like or name)
        found = differences(read(self.root, is_timed=command.is_timed), wanted.readings)
        if command.after and ended.out != self.unkilled(name).out:
            found.append(f"said: {ended.out[:500]}")
        return found

    def _left(self, name: str) -> Path:
        return self.folder / "left" / name

    def _trial_of(self, arm: str) -> str:
        with closing(sqlite3.connect(self.root / "workspace" / "results.sqlite")) as database:
            rows = database.execute("SELECT trial_id, arms FROM placements ORDER BY trial_id")
            return next(str(trial) for trial, arms in rows if arm in json.loads(arms))

    def _moments(self) -> dict[str, int]:
        """Return how often each moment came, for several workers the maximum."""
        found: dict[str, int] = {}
        for file in (self.folder / "traces" / "counts").iterdir():
            left: dict[str, Any] = json.loads(file.read_text())
            for name, count in left["counts"].items():
                found[name] = max(count, found.get(name, 0))
            for module in left["modules"]:  # which need not be imported after each fork, then
                if module not in sys.modules:
                    with suppress(Exception):
                        importlib.import_module(module)
        return found


def import_all() -> None:
    """Import the modules of the commands, so that a forked process begins at once."""
    from peftlab.core.process import quiet_libraries

    quiet_libraries()
    import optuna  # noqa: F401

    import peftlab.cli.commands
    import peftlab.engine.trainer
    import peftlab.outputs.export
    import peftlab.outputs.push
    import peftlab.report.write
    import peftlab.runner.execute
    import peftlab.runner.plan
    import peftlab.runner.progress
    import peftlab.runner.tune
    import peftlab.runner.tune_progress  # noqa: F401
