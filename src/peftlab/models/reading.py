"""A checkpoint as transformers reads it, from a folder or the Hub's cache; errors are one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peftlab.core.errors import UserError
from peftlab.core.files import folder_at
from peftlab.core.process import trusts_remote_code
from peftlab.data.hub_files import fetch

# The files that are downloaded of a checkpoint on the Hub: weights are safetensors or nothing.
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
    "where you trust the file, transformers converts it: "
    "AutoModel.from_pretrained(IT).save_pretrained(FOLDER), its AutoTokenizer likewise"
)


def read(load: Any, source: str, **options: Any) -> Any:
    """Return the result of `load`, a from_pretrained of transformers, for the source.

    Every way in which it can fail is one line. Of a Hub id the config and the tokenizer are in the
    cache before. Code that lies beside a checkpoint is not run unless it is trusted, and nobody is
    asked.
    """
    folder_of(source, weights=False)
    with refusing(source):
        return load(
            source, trust_remote_code=trusts_remote_code(), local_files_only=True, **options
        )


def folder_of(source: str, *, weights: bool) -> Path:
    """Return the folder of the source: itself, or the one in the Hub's cache, which may be fetched.

    UserError where the Hub has it not, or has no weights of it as safetensors.
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
    """Return a file of a Hub id if it is in the Hub's cache, without a request."""
    from huggingface_hub import constants, try_to_load_from_cache

    found = try_to_load_from_cache(source, name, cache_dir=constants.HF_HUB_CACHE)
    return Path(found) if isinstance(found, str) else None


@contextmanager
def refusing(name: str) -> Iterator[None]:
    """Turn any error that a library raises for a broken checkpoint into one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        text = str(error).strip()
        if "trust_remote_code" in text:
            raise UserError(
                f"the checkpoint '{name}' needs code that lies beside it, which is not run",
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
