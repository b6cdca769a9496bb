"""The reading of checkpoints by transformers, from a folder or the Hub's cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peftlab.core.errors import UserError
from peftlab.core.files import folder_at
from peftlab.core.process import trusts_remote_code
from peftlab.data.hub_files import fetch

# The files of a checkpoint that are downloaded from the Hub; weights only as safetensors.
CONFIG_FILES = (
    "config.json",
    "*token*.json",
    "special_tokens_map.json",
    "vocab.*",
    "merges.txt",
    "*.model",
)
CODE_FILES = ("*.py",)
WEIGHT_FILES = ("model.safetensors", "model-*.safetensors", "model.safetensors.index.json")

CONVERT = (
    "if you trust the file, transformers converts it: "
    "AutoModel.from_pretrained(IT).save_pretrained(FOLDER), its AutoTokenizer likewise"
)


def read(load: Any, source: str, **options: Any) -> Any:
    """Return the result of `load`, a from_pretrained method of transformers, for the source.

    Every failure becomes a UserError of one line. The config and the tokenizer of a Hub id are
    fetched into the cache first. Code that comes with a checkpoint is run only if the user trusts
    it, and nobody is prompted.
    """
    folder_of(source, weights=False)
    with refusing(source):
        return load(
            source, trust_remote_code=trusts_remote_code(), local_files_only=True, **options
        )


def folder_of(source: str, *, weights: bool) -> Path:
    """Return the folder of the source: itself, or that of the Hub's cache, fetched if necessary.

    Raises UserError if the Hub does not have it, or has no weights of it as safetensors.
    """
    folder = folder_at(source)
    if folder is not None:
        return folder
    code = CODE_FILES if trusts_remote_code() else ()
    wanted = (*CONFIG_FILES, *(WEIGHT_FILES if weights else ()), *code)
    folder = fetch(source, wanted, ignored=["*/*"])
    if weights and not any(folder.glob("model*.safetensors")):
        raise UserError(
            f"the model '{source}' has no model.safetensors",
            where="the Hub",
            allowed=f"weights as safetensors, which hold no code; {CONVERT}",
        )
    return folder


def cached_file(source: str, name: str) -> Path | None:
    """Return a file of a Hub id from the Hub's cache, without a request; None if not there."""
    from huggingface_hub import constants, try_to_load_from_cache

    found = try_to_load_from_cache(source, name, cache_dir=constants.HF_HUB_CACHE)
    return Path(found) if isinstance(found, str) else None


@contextmanager
def refusing(name: str) -> Iterator[None]:
    """Turn any error that a library raises for a broken checkpoint into a UserError of one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        text = str(error).strip()
        if "trust_remote_code" in text:
            raise UserError(
                f"the checkpoint '{name}' needs code that comes with it, which is not run",
                remedy="peftlab --trust-remote-code COMMAND, if you trust its authors with all "
                "that you can do yourself",
            ) from error
        first_line = text.replace(":\n", ": ").splitlines()[0] if text else repr(error)
        if not isinstance(error, OSError | ValueError):
            first_line = f"{type(error).__name__}: {first_line}"
        raise UserError(
            f"cannot load the checkpoint '{name}': {first_line[:200]}",
            allowed="a Hub id that this machine can reach or has cached, a local folder, minilm",
        ) from error
