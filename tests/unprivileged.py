"""The rights of a user who is not root, for tests of what may not be written."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

VERSION_3 = 0x20080522
OVERRIDES = 0b110
"""The capabilities CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, by which root writes anywhere."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@contextmanager
def nothing_written_below(folder: Path) -> Iterator[None]:
    """Let nothing below the folder be written within the block, not even by root."""
    modes = {path: path.stat().st_mode for path in (folder, *folder.rglob("*"))}
    for path, mode in modes.items():
        path.chmod(mode & 0o555)
    header, sets = _Header(VERSION_3, 0), (_Sets * 2)()
    libc = ctypes.CDLL(None, use_errno=True)
    is_root = os.geteuid() == 0
    if is_root:
        if libc.capget(ctypes.byref(header), sets) != 0:
            pytest.skip("root keeps its rights here")
        before = sets[0].effective
        sets[0].effective = before & ~OVERRIDES
        assert libc.capset(ctypes.byref(header), sets) == 0
    try:
        yield
    finally:
        if is_root:
            sets[0].effective = before
            assert libc.capset(ctypes.byref(header), sets) == 0
        for path, mode in modes.items():
            if path.exists():
                path.chmod(mode)
