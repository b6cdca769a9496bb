"""The state of a trial in the middle of its training, on disk.

A checkpoint is one safetensors file, named by its step and by the digest of its content, so that a
damaged one is recognised. The last two are kept: if the last cannot be read, training resumes from
the one before it.

The prefix of a tensor's name says what it belongs to: `parameter.NAME` is a trained parameter,
`exp_avg.NAME` and the like are the optimizer's state for it, `method.NAME` is the method's own
state, and `best.logits` and `best.parameter.NAME` belong to the evaluation that would be reported
so far.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from torch import Tensor

from peftlab.core.files import remove_leftovers, whole_file
from peftlab.core.training import CheckpointEvery
from peftlab.store.records import NUM_CHECKPOINTS

NAME = re.compile(r"step-(\d{9})-([0-9a-f]{32})\.safetensors")
OF_PARAMETER, OF_METHOD, OF_BEST = "parameter.", "method.", "best."
"""The prefixes of tensors' names; tensors without one are the optimizer's."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a trial: its tensors by name, and everything else as JSON values."""

    step: int
    tensors: Mapping[str, Tensor]
    progress: Mapping[str, Any]


@dataclass(kw_only=True)
class Checkpoints:
    """The checkpoints of one trial, in a folder of its own, and when the next is due."""

    folder: Path
    every: CheckpointEvery
    damaged: list[str] = field(default_factory=list)
    """The names of files that `newest` could not read."""
    on_saved: Callable[[], None] = lambda: None
    """The function that is called when a checkpoint has been written."""
    _saved_at: float = field(default_factory=monotonic)

    def are_due(self, *, step: int, epoch: int | None = None) -> bool:
        """Return whether a checkpoint is due after this step, or at the end of this epoch."""
        if epoch is not None:
            return self.every.unit == "epochs" and epoch % self.every.number == 0
        if self.every.unit == "seconds":
            return monotonic() - self._saved_at >= self.every.number
        return self.every.unit == "steps" and step % self.every.number == 0

    def save(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint, then remove all but the last two."""
        from safetensors.torch import save

        tensors = {
            name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()
        }
        content = save(tensors, metadata={"progress": json.dumps(dict(checkpoint.progress))})
        name = f"step-{checkpoint.step:09}-{_content_digest(content)}.safetensors"
        with whole_file(self.folder / name) as stream:
            stream.write(content)
        self._saved_at = monotonic()
        for old in self._files()[NUM_CHECKPOINTS:]:
            with suppress(OSError):
                old.unlink()
        self.on_saved()

    def newest(self) -> Checkpoint | None:
        """Return the last intact checkpoint; None if there is none."""
        remove_leftovers(self.folder)
        for file in self._files():
            checkpoint = _checkpoint_in(file)
            if checkpoint is not None:
                return checkpoint
            self.damaged.append(file.name)
        return None

    def _files(self) -> list[Path]:
        """Return the files of checkpoints, newest first."""
        found = [file for file in self.folder.glob("step-*") if NAME.fullmatch(file.name)]
        return sorted(found, key=lambda file: file.name, reverse=True)


def put_under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with the prefix added to their names."""
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def found_under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names have the prefix, under their names without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def without_those_under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names do not have the prefix."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}


def by_step(progress: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the progress of a checkpoint with its evaluations identified by step.

    Before schema 6 they were made at the ends of epochs alone and identified by epoch. Raises
    KeyError or TypeError if the values are not those of a checkpoint.
    """
    tally, best = dict(progress["tally"]), progress["best"]
    if "epochs" not in tally:
        return progress
    epochs = tally.pop("epochs")
    tally["evaluations"] = [{**one, "epoch": float(one["epoch"])} for one in epochs]
    if best is not None:
        steps = {one["epoch"]: one["step"] for one in epochs}
        best = {"step": steps[best["epoch"]], "embedding_factor": best["embedding_factor"]}
    return {**progress, "tally": tally, "best": best}


def _checkpoint_in(file: Path) -> Checkpoint | None:
    """Return the checkpoint in that file; None if its content is not what was written there."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    found = NAME.fullmatch(file.name)
    assert found is not None
    try:
        content = file.read_bytes()
        if _content_digest(content) != found[2]:
            return None
        tensors = load(content)
        progress = json.loads(_metadata(content)["progress"])
        if not isinstance(progress, dict):
            return None
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return Checkpoint(step=int(found[1]), tensors=tensors, progress=progress)


def _metadata(content: bytes) -> dict[str, str]:
    """Return the metadata of a safetensors file, from the header that follows its first 8 bytes."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    metadata: dict[str, str] = header["__metadata__"]
    return metadata


def _content_digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
