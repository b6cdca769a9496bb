"""The parts of the Triton back end that a card can be trusted with: they agree with plain twins.

Each is compared with its plain twin when a card is first used, and again at the sizes of another
model (comparison.py), in processes of their own, several at a time since most of it is compiling.
What was found is kept beside the compiled kernels, until the card, a version or a source changes.
Processes that need it at once while it is not there each find it out.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from peftlab.core.errors import StorageError
from peftlab.core.files import whole_file
from peftlab.core.process import usual_threads
from peftlab.core.progress import stage
from peftlab.models.cuda.agreement_cases import USUAL, Sizes
from peftlab.models.fused.backends import ADAMW, GRAPH
from peftlab.models.fused.jit import kernel_folder

PROCESS = "peftlab.models.cuda.agreement_process"
NAMES = (
    "Attention", "JoinedLinear", "MaskedAttention", "DropoutAddNorm", "LookUp", "Dropout", "Gelu",
    "TakeRows", "SharedAttention", "SharedLinear", "SharedNorm", "SharedLookUp", "SharedDropout",
    "SharedGelu", "SharedTakeRows", ADAMW, GRAPH,
)  # fmt: skip
"""The names of what is compared, that which takes longest to compile first."""
WORDS = "compiling the kernels for this card and comparing them with plain PyTorch, once"
MOST_PROCESSES = 4
SECONDS = 300
"""The time after which a process is ended; what it was comparing then does not agree."""

Found = dict[str, str | None]
"""By name None for agreement, else what is wrong in a few words."""
_HERE: dict[Path, Found] = {}
"""What this process has found itself, by the file in which it is kept if it can be."""


def lacking() -> Mapping[str, str]:
    """Return what does not agree on the current card, and why; it is found out where unknown."""
    return _lacking(torch.cuda.current_device())


def known_lacking(device: torch.device) -> Mapping[str, str] | None:
    """Return the same of a device if it is known already, without finding it out.

    What differs at the sizes of one model is lacking for all.
    """
    prefix = _prefix(device)
    stored = {
        file: _stored_agreement(file) for file in sorted(kernel_folder().glob(f"{prefix}-*.json"))
    }
    here = {file: one for file, one in _HERE.items() if file.name.startswith(prefix)}
    found = [one for one in {**stored, **here}.values() if one is not None]
    wrong = [{name: why for name, why in one.items() if why is not None} for one in found]
    return dict(ChainMap(*wrong)) if found else None


def compare_at(every_size: Sequence[Sizes]) -> None:
    """Find out what does not agree on the current card at these sizes, unless it is known.

    The kernels for them are then compiled.
    """
    device = torch.device("cuda", torch.cuda.current_device())
    file = _file(device, every_size)
    if file not in _HERE and _stored_agreement(file) is None:
        _compare(device, every_size)
        _lacking.cache_clear()


def in_words(wrong: Mapping[str, str], card: str) -> str:
    """Return a line for what does not agree; empty where all does.

    >>> in_words({}, "card")
    ''
    >>> in_words({"Gelu": "differs by 0.1 in bf16"}, "a card")
    'on a card plain PyTorch stands in for these kernels: Gelu differs by 0.1 in bf16'
    """
    if not wrong:
        return ""
    if wrong.keys() >= set(NAMES) and len(set(wrong.values())) == 1:
        return f"the Triton kernels are not used on {card}: each {wrong[NAMES[0]]}"
    told = "; ".join(f"{name} {words}" for name, words in wrong.items())
    return f"on {card} plain PyTorch stands in for these kernels: {told}"


@cache
def _lacking(index: int) -> Mapping[str, str]:
    device = torch.device("cuda", index)
    found = known_lacking(device)
    if found is None:
        _compare(device, USUAL)
        found = known_lacking(device) or {}
    return found


def _compare(device: torch.device, every_size: Sequence[Sizes]) -> None:
    """Compare everything at these sizes and keep what was found.

    Where nothing works it is kept for this process alone: a compiler may be missing, which can be
    mended.
    """
    file = _file(device, every_size)
    found = _HERE[file] = _compared(device, every_size)
    if None in found.values():
        with suppress(StorageError), whole_file(file) as stored:
            stored.write(json.dumps(found, indent=1).encode())


def _stored_agreement(file: Path) -> Found | None:
    """Return what is stored; None where that is nothing, or not all that is asked for now."""
    try:
        found: Found = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return found if found.keys() == set(NAMES) else None


def _compared(device: torch.device, every_size: Sequence[Sizes]) -> Found:
    """Return what the processes find, as a stage of the work."""
    count = max(1, min(MOST_PROCESSES, usual_threads()))
    shares = [NAMES[first::count] for first in range(count)]
    found: Found = {}
    comparison = _Comparison(device, every_size)
    with (
        stage(WORDS, total=len(NAMES), unit="kernels") as comparing,
        ThreadPoolExecutor(count) as threads,
        comparison.until_ended(),
    ):

        def compare(names: Sequence[str]) -> Found:
            part: Found = {}
            for name, words in comparison.told(names):
                part[name] = words
                comparing.advance()
            return part

        for part in threads.map(compare, shares):
            found |= part
    return {name: found[name] for name in NAMES}


class _Comparison:
    """The processes that compare, all of which end with the block of `until_ended`."""

    def __init__(self, device: torch.device, every_size: Sequence[Sizes]) -> None:
        self._device = device
        self._sizes = json.dumps([asdict(sizes) for sizes in every_size])
        self._running: set[subprocess.Popen[str]] = set()
        self._is_over = False

    @contextmanager
    def until_ended(self) -> Iterator[None]:
        """Let processes run within the block alone, however that ends."""
        try:
            yield
        finally:
            self._is_over = True
            for process in [*self._running]:
                process.kill()

    def told(self, names: Sequence[str]) -> Iterator[tuple[str, str | None]]:
        """Yield each name once with what is wrong; another process goes on where one has died."""
        left = [*names]
        while left and not self._is_over:
            begun: str | None = None
            before = len(left)
            for line in self._lines(left):
                begun = line.get("begun")
                name = line.get("ended")
                if name in left:
                    left.remove(name)
                    yield name, line["wrong"]
            if begun in left:
                left.remove(begun)
                yield begun, "ends the process that tries it, or takes too long"
            elif len(left) == before:
                yield from ((name, "cannot be tried: its process does not start") for name in left)
                return

    def _lines(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield what a process says of these names; it is ended when it takes too long."""
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", PROCESS, str(os.getpid()),
             str(self._device), self._sizes, *names],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, start_new_session=True,
        )  # fmt: skip
        self._running.add(process)
        timer = threading.Timer(SECONDS, process.kill)
        timer.start()
        assert process.stdout is not None
        try:
            yield from (json.loads(line) for line in process.stdout if line.startswith("{"))
        finally:
            timer.cancel()
            self._running.discard(process)
            process.kill()
            process.wait()
            process.stdout.close()


def _file(device: torch.device, every_size: Sequence[Sizes]) -> Path:
    """Return where it is stored what these sources give on this card at these sizes."""
    sizes = hashlib.sha256(repr(tuple(every_size)).encode()).hexdigest()[:8]
    return kernel_folder() / f"{_prefix(device)}-{sizes}.json"


def _prefix(device: torch.device) -> str:
    """Return how the names of the files begin that these sources have of this card."""
    models = Path(__file__).parents[1]
    sources = [*models.glob("cuda/*.py"), *models.glob("fused/*.py"), *models.glob("*attention.py")]
    known = [
        *(_version(name) for name in ("torch", "triton")),
        str(torch.version.cuda),
        torch.cuda.get_device_name(device),
        str(torch.cuda.get_device_capability(device)),
        *(hashlib.sha256(source.read_bytes()).hexdigest() for source in sorted(sources)),
    ]
    return f"agreement-{hashlib.sha256(chr(10).join(known).encode()).hexdigest()[:16]}"


def _version(package: str) -> str:
    """Return the version of a package; empty for one that is installed under another name."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
