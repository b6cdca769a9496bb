"""The bounds of what a packed file may unpack to: a few bytes can hold what memory does not.

A file of real rows has a byte for each row and does not shrink to a fiftieth; small files are not
asked.
"""

from __future__ import annotations

from pathlib import Path

from peftlab.core.errors import UserError

FREE_ROWS, FREE_VALUES, FREE_BYTES = 1 << 17, 1 << 22, 1 << 27
"""The size to which any file may unpack; more is allowed only in proportion to its bytes."""
VALUES_PER_BYTE, BYTES_PER_BYTE = 8, 50


def require_rows(num_rows: int, size: int, path: Path) -> None:
    """Raise UserError if a file of `size` bytes unpacks to too many rows."""
    if num_rows > max(FREE_ROWS, size):
        raise _too_much(f"{num_rows:,} rows", size, path)


def require_values(num_values: int, size: int, path: Path, *, of: str = "") -> None:
    """Raise UserError if a file of `size` bytes unpacks to too many values (`of` names them)."""
    if num_values > max(FREE_VALUES, VALUES_PER_BYTE * size):
        raise _too_much(f"{num_values:,} values{of}", size, path)


def require_room(num_bytes: int, size: int, path: Path) -> None:
    """Raise UserError if a file of `size` bytes unpacks to too many bytes."""
    if num_bytes > max(FREE_BYTES, BYTES_PER_BYTE * size):
        raise _too_much(f"{num_bytes:,} bytes and more", size, path)


def _too_much(what: str, size: int, path: Path) -> UserError:
    return UserError(
        f"the {size:,} bytes of this file unpack to {what}",
        where=str(path),
        allowed="a file that holds about what its size says",
    )
