"""A trial's folder at an fsspec URL, where another machine finds it whole or as it was before.

ROOT/objects holds files, each under the digest of its content. ROOT/state-N-DIGEST.json lists the
files of the folder at one moment; it is written after them, and named by its number and its own
digest. So a state that was torn, or damaged later, is known as such, and the one before it holds:
the objects of the last two are kept.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from peftlab.core.errors import StorageError, first_line
from peftlab.core.files import ASIDE, whole_folder
from peftlab.store.records import CHECKPOINTS_FOLDER, NUM_CHECKPOINTS

NAME = re.compile(r"state-(\d{6})-([0-9a-f]{32})\.json")
DIGEST = re.compile(r"[0-9a-f]{64}")
PAUSES_SECONDS = (0.5, 1.0, 2.0)
"""The seconds to wait before each new attempt."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ExchangedFile:
    """A file of the folder: its name from there, and the digest of its content."""

    name: str
    digest: str

    @property
    def is_checkpoint(self) -> bool:
        """Whether the file is a checkpoint; the names of checkpoints sort by their steps."""
        return self.name.startswith(f"{CHECKPOINTS_FOLDER}/")


@dataclass(frozen=True, kw_only=True)
class FolderState:
    """The content of the folder at one moment; no entries if the state's own file is damaged."""

    name: str
    entries: tuple[ExchangedFile, ...] | None

    @property
    def digests(self) -> set[str]:
        """The digests of the files in this state."""
        return {entry.digest for entry in self.entries or ()}

    @property
    def newest_checkpoint(self) -> str:
        """The name of its last checkpoint; "" where it has none."""
        names = (entry.name for entry in self.entries or () if entry.is_checkpoint)
        return max(names, default="")


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """The state that was fetched, None if there is none, and those that were found damaged."""

    state: str | None
    damaged: tuple[str, ...]


@dataclass(kw_only=True)
class ExchangedFolder:
    """The place where the folder is kept, as seen by one machine that writes there.

    Every method raises StorageError where, after some tries, the place does not answer.
    """

    files: Any
    root: str
    where: str
    _known: list[FolderState] | None = None
    _whole: set[str] = field(default_factory=set)
    """The digests of the objects that this machine has written, or read and found intact."""
    _checkpoints: dict[str, str] = field(default_factory=dict)
    """The digests of checkpoints by name."""

    def publish(self, folder: Path) -> str:
        """Publish the local folder as the newest state; return the state's name.

        Only what is not there yet is sent. States before the last two are removed.
        """
        states = self._states()
        entries = self._entries(folder)
        for entry in entries:
            if entry.digest not in self._whole:
                self._send(folder / entry.name, entry.digest)
        content = json.dumps([asdict(entry) for entry in entries]).encode()
        last = NAME.fullmatch(states[-1].name) if states else None
        name = f"state-{int(last[1]) + 1 if last else 1:06}-{_content_digest(content)[:32]}.json"
        self._patiently(lambda: self.files.pipe_file(f"{self.root}/{name}", content))
        states.append(FolderState(name=name, entries=entries))
        for state in states[:-NUM_CHECKPOINTS]:
            self._forget(state)
        return name

    def offer(self, folder: Path) -> None:
        """Publish the local folder if its training is further than the newest state's."""
        here = FolderState(name="", entries=self._entries(folder)).newest_checkpoint
        if here > max((state.newest_checkpoint for state in self._states()), default=""):
            self.publish(folder)

    def fetch(
        self, folder: Path, *, only: str | None = None, with_checkpoints: bool = True
    ) -> Fetched:
        """Make the local folder equal to the newest intact state, or to the state `only`.

        Where there is none, the local folder is left as it is. Damaged states are removed.
        """
        damaged: list[str] = []
        for state in self._states()[::-1]:
            if only in {None, state.name}:
                if self._bring_all(state, folder, with_checkpoints=with_checkpoints):
                    return Fetched(state=state.name, damaged=tuple(damaged))
                damaged.append(state.name)
                self._forget(state)
        return Fetched(state=None, damaged=tuple(damaged))

    def remove(self) -> None:
        """Remove all that is there."""
        self.files.invalidate_cache()
        self._found(lambda: self.files.rm(self.root, recursive=True))
        self._known, self._whole = [], set()

    def _states(self) -> list[FolderState]:
        """Return the states that are there, the oldest first."""
        if self._known is None:
            found = self._found(self._list) or []
            names = sorted(path.rpartition("/")[2] for path in found)
            self._known = [self._state(name) for name in names if NAME.fullmatch(name)]
        return self._known

    def _list(self) -> list[str]:
        self.files.invalidate_cache()
        return list(self.files.ls(self.root, detail=False))

    def _state(self, name: str) -> FolderState:
        found = NAME.fullmatch(name)
        assert found is not None
        content = self._found(lambda: bytes(self.files.cat_file(f"{self.root}/{name}")))
        if content is None or _content_digest(content)[:32] != found[2]:
            return FolderState(name=name, entries=None)
        entries = tuple(ExchangedFile(**values) for values in json.loads(content))
        return FolderState(name=name, entries=entries if all(map(_is_safe, entries)) else None)

    def _bring_all(self, state: FolderState, folder: Path, *, with_checkpoints: bool) -> bool:
        """Make the local folder the state's files and no others; False if one is damaged."""
        if state.entries is None:
            return False
        wanted = [one for one in state.entries if with_checkpoints or not one.is_checkpoint]
        try:
            with whole_folder(folder) as aside:
                for entry in wanted:
                    self._bring(entry.digest, aside / entry.name)
        except _DamagedError:
            return False
        self._whole |= {entry.digest for entry in wanted}
        return True

    def _bring(self, digest: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        self._found(lambda: self.files.get_file(self._object(digest), str(target)))
        if not target.is_file() or _file_digest(target) != digest:
            raise _DamagedError

    def _send(self, file: Path, digest: str) -> None:
        self._patiently(lambda: self.files.put_file(str(file), self._object(digest)))
        self._whole.add(digest)

    def _forget(self, state: FolderState) -> None:
        """Remove a state, and those of its objects that no other one has."""
        states = self._states()
        states.remove(state)
        gone = state.digests.difference(*(other.digests for other in states))
        for path in (f"{self.root}/{state.name}", *map(self._object, sorted(gone))):
            self._found(partial(self.files.rm_file, path))
        self._whole -= gone

    def _object(self, digest: str) -> str:
        return f"{self.root}/objects/{digest}"

    def _entries(self, folder: Path) -> tuple[ExchangedFile, ...]:
        """Return the local folder's files, without what is just being written."""
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        named = {file.relative_to(folder).as_posix(): file for file in files}
        return tuple(self._entry(name, file) for name, file in named.items() if ASIDE not in name)

    def _entry(self, name: str, file: Path) -> ExchangedFile:
        entry = ExchangedFile(name=name, digest=self._checkpoints.get(name) or _file_digest(file))
        if entry.is_checkpoint:
            self._checkpoints[name] = entry.digest
        return entry

    def _found(self, act: Callable[[], T]) -> T | None:
        """Return the result of `act`; None if its object does not exist."""

        def find() -> T | None:
            try:
                return act()
            except FileNotFoundError:
                return None

        return self._patiently(find)

    def _patiently(self, act: Callable[[], T]) -> T:
        """Return the result of `act`, which is retried if it fails."""
        for pause in (*PAUSES_SECONDS, None):
            try:
                return act()
            except Exception as error:  # every file system has errors of its own
                if pause is None:
                    cause = first_line(error)
                    raise StorageError(f"does not answer: {cause}", where=self.where) from error
            time.sleep(pause)
        raise AssertionError


class _DamagedError(Exception):
    """The error for an object that is not as it was written."""


def _is_safe(entry: ExchangedFile) -> bool:
    """Return whether the entry's file would lie within the folder, and its object with the
    others."""
    path = PurePosixPath(entry.name)
    is_within = not path.is_absolute() and ".." not in path.parts and "\\" not in entry.name
    return is_within and DIGEST.fullmatch(entry.digest) is not None


def _file_digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _content_digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
