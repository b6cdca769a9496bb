"""Where a trial's checkpoint lies now: by its name, or found by its content in other folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from peftlab.core.errors import UserError
from peftlab.core.files import folder_at
from peftlab.core.inputs import ModelRef
from peftlab.models.checkpoints import locate

OPTION = (
    "--model FOLDER (in Python, Trial.with_model): where it lies now, or the folder right above"
)


def find_checkpoint(model: ModelRef, places: Sequence[str] = ()) -> ModelRef:
    """The same checkpoint under the name of the folder where it is.

    The `places`, and the folders directly in them, are searched by fingerprint before its own name
    is tried. One on the Hub is where it was. Raises UserError where it is in none of them, and
    where another one is at its name by now.
    """
    if model.fingerprint.startswith("hub:"):
        if places:
            raise UserError(
                f"the checkpoint '{model.name}' is the Hub's, which is not looked for in folders",
                where=f"--model {places[0]}",
                allowed="no --model for this trial",
            )
        return model
    searched = 0
    for place in places:
        for folder in _folders(place):
            searched += 1
            if _fingerprint(str(folder)) == model.fingerprint:
                return model.model_copy(update={"name": str(folder)})
    found = _fingerprint(model.name)
    if found == model.fingerprint:
        return model
    if places:
        raise UserError(
            f"the checkpoint '{model.name}' is in none of the folders searched ({searched}): none "
            f"has its fingerprint, {model.fingerprint[:19]}...",
            where=f"--model {', '.join(places)}",
            allowed="the folder with the same config, tokenizer and weights, or the one it is in",
        )
    what = "is gone" if found is None else "is another one now: its files have changed"
    raise UserError(f"the checkpoint '{model.name}' {what}", allowed=OPTION)


def _folders(place: str) -> Iterator[Path]:
    """A place itself and the folders in it; UserError where there is no such folder."""
    folder = folder_at(place)
    if folder is None:
        raise UserError("there is no such folder", where=f"--model {place}", allowed=OPTION)
    folder = folder.absolute()
    yield folder
    try:
        yield from sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError as error:
        raise UserError(
            f"cannot be read: {error.strerror or error}", where=f"--model {place}"
        ) from error


def _fingerprint(name: str) -> str | None:
    """Return the fingerprint of the checkpoint there; None where there is none."""
    try:
        found = locate(name).fingerprint
    except (UserError, OSError):
        return None
    return None if found.startswith("hub:") else found  # a folder's name that is gone could be one
