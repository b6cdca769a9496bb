"""The tensors in a checkpoint's files, read from their headers alone, without torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from peftlab.core.errors import UserError, first_line

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
LARGEST_HEADER = 100_000_000
"""The largest header that the safetensors library accepts, in bytes."""


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the files from which transformers reads weights: one file, or those of an index.

    Raises UserError if the index is malformed, or if there is neither a file nor an index.
    """
    if (folder / WHOLE).is_file():
        return (folder / WHOLE,)
    index = folder / INDEX
    try:
        found = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return tuple(folder / name for name in sorted(set(found.values())))
    except FileNotFoundError as error:
        raise UserError(
            f"there is neither {WHOLE} nor {INDEX}",
            where=str(folder),
            allowed="a folder as save_pretrained writes it",
        ) from error
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        cause = first_line(error)
        raise UserError(f"not an index of weights: {cause}", where=str(index)) from error


def headers_digest(folder: Path) -> str:
    """Return a digest of everything in a checkpoint's files except the numbers in its tensors.

    It covers the config, the index of the weights and the headers of all safetensors files, but not
    any code that comes with the checkpoint.
    """
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")]):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        with path.open("rb") as stream:
            if path.suffix == ".safetensors":
                start = stream.read(8)
                size = min(int.from_bytes(start, "little"), LARGEST_HEADER)
                digest.update(start + stream.read(size))
            else:
                digest.update(stream.read())
    return digest.hexdigest()


def tensor_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all tensors of the checkpoint, by their names in its files.

    Raises UserError if its files cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    shapes = {}
    for file in weight_files(folder):
        try:
            with safe_open(file, framework="np") as opened:
                for name in opened.keys():  # noqa: SIM118
                    shapes[name] = tuple(opened.get_slice(name).get_shape())
        except (OSError, SafetensorError) as error:
            cause = first_line(error)
            raise UserError(f"cannot read the weights: {cause}", where=str(file)) from error
    return shapes
