"""Hidden states of encoded rows: what frozen layers make of them, kept on disk by its content."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from peftlab.core.identity import content_id
from peftlab.core.interrupts import stop_if_requested
from peftlab.core.progress import stage
from peftlab.data.batches import Indices, batches_of_tokens
from peftlab.data.cache import write_entry
from peftlab.data.encode import Encoded

FORMAT = 1
FILE = "states.npy"
TOKENS_PER_CALL = 1024

States = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class FrozenLayers:
    """The frozen layers whose outputs are kept: the `depth` lowest ones of the checkpoint of that
    fingerprint.

    Their outputs are `width` numbers a token; kept for each token, or with `is_pooled` for each
    row's pooled token only. `computed` names the way of computing, which shows in the rounding.
    """

    model: str
    depth: int
    width: int
    is_pooled: bool
    computed: str


@dataclass(frozen=True, kw_only=True)
class EncodedWithStates(Encoded):
    """Encoded rows with float32 states: [T, D] as the ids lie, or [N, D] where they are pooled.

    The states may be a read-only file map, the larger part of which is never in memory.
    """

    states: States
    frozen: FrozenLayers


def with_states(
    data: Encoded, frozen: FrozenLayers, compute: Callable[[Indices], States], *, cache: Path
) -> EncodedWithStates:
    """Return the rows with their states, from `cache` if they have been computed before.

    `compute` gives the states of some rows, one row after another. It is called on some of them at
    a time, so that only few are in memory at once. `data` must come from the cache of encoded rows
    itself, whose name for them says also with what max_length they were encoded. Takes 4 bytes of
    disk a number. An entry that is damaged is made again.
    """
    assert data.name, "rows that have no name in the cache have none for their states"
    identity = [FORMAT, data.name, frozen.model, frozen.depth, frozen.is_pooled, frozen.computed]
    folder = cache / "frozen" / content_id(identity, length=32)
    shape = (len(data) if frozen.is_pooled else len(data.ids), frozen.width)
    states = _map(folder, shape)
    if states is None:
        write_entry(
            folder,
            lambda aside: _write(aside / FILE, shape, _computed(data, compute)),
            is_whole=lambda folder: _map(folder, shape) is not None,
        )
        states = _map(folder, shape)
        if states is None:  # another process is just replacing a damaged entry
            states = np.concatenate(list(_computed(data, compute)))
    own = {field.name: getattr(data, field.name) for field in fields(Encoded)}
    return EncodedWithStates(**own, states=states, frozen=frozen)


def gather_states(data: EncodedWithStates, rows: Indices) -> States:
    """Return the states of these rows, in their order, copied only once: [R, D]."""
    if data.frozen.is_pooled:
        return np.asarray(data.states[rows])
    spans = [slice(data.offsets[row], data.offsets[row + 1]) for row in rows]
    return np.concatenate([data.states[span] for span in spans])


def _computed(data: Encoded, compute: Callable[[Indices], States]) -> Iterator[States]:
    with stage("computing frozen layers", total=len(data), unit="rows") as computing:
        for rows in batches_of_tokens(np.arange(len(data)), data.lengths, TOKENS_PER_CALL):
            stop_if_requested()
            yield compute(rows)
            computing.advance(len(rows))


def _write(path: Path, shape: tuple[int, int], parts: Iterator[States]) -> None:
    """Write an array file part by part. (A map would end the process on a full disk.)"""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype("<f4")), "fortran_order": False}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {**header, "shape": shape})
        for part in parts:
            stream.write(np.ascontiguousarray(part, dtype="<f4").tobytes())


def _map(folder: Path, shape: tuple[int, int]) -> States | None:
    """Return the states in that folder; None if there are none, or damaged ones."""
    try:
        states: States = np.load(folder / FILE, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return states if states.shape == shape and states.dtype == np.float32 else None
