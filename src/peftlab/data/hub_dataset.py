"""A split of a repository in the Hub's layout, there or in a local folder, by load_dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peftlab.core.errors import AbsentError, UserError
from peftlab.core.files import folder_at
from peftlab.core.safe_yaml import parse_yaml
from peftlab.data.hub_files import fetch

CARD = "README.md"
"""The file whose YAML header says which files make up which configuration and split."""
DATA_FILES = tuple(
    f"*.{kind}{packed}"
    for kind in ("parquet", "csv", "tsv", "json", "jsonl", "txt", "arrow")
    for packed in ("", ".gz", ".zst")
)
"""The files that are downloaded from a repository whose card lists none."""
CARD_TIMES = 8
"""The longest header, as a multiple of the longest study: some list hundreds of configurations."""
# All that datasets says at first of a file that it cannot read.
VAGUE = "An error occurred while generating the dataset"


def load_split(repository: str, config: str, split: str, *, revision: str | None = None) -> Any:
    """Return the split as a datasets.Dataset, its Arrow data mapped from the cache of datasets.

    `repository` is an id on the Hub, of which the card and the files of the configuration are
    downloaded, or a local folder. Every way in which that can fail is a UserError.
    """
    try:
        import datasets
    except ImportError as error:
        raise AbsentError(
            "reading from the Hub needs the package datasets",
            where="--data hub",
            remedy="pip install 'peftlab[hub]', --data demo, or a GLUE folder",
        ) from error
    folder = folder_at(repository) or _fetched(repository, config, revision)
    _read_card(folder, config)
    datasets.disable_progress_bars()
    verbosity = datasets.logging.get_verbosity()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        return datasets.load_dataset(str(folder), config, split=split)
    except Exception as error:  # a broken folder makes it raise whatever it runs into
        raise UserError(
            f"cannot load '{config}' from {repository}: {_reason(error)[:300]}",
            where="data",
            allowed="a repository that this machine can reach or has cached, a local folder in "
            "its layout (hub:FOLDER), a GLUE folder, demo",
        ) from error
    finally:
        datasets.logging.set_verbosity(verbosity)


def _fetched(repository: str, config: str, revision: str | None) -> Path:
    """Return the folder in the Hub's cache that holds the card and the configuration's files."""
    folder = fetch(repository, [CARD], kind="dataset", revision=revision)
    wanted = _data_files(_read_card(folder, config), config)
    return fetch(repository, [CARD, *wanted], kind="dataset", revision=revision)


def _data_files(card: Any, config: str) -> list[str]:
    """Return patterns of a configuration's files; of all data files where none is listed.

    >>> card = {"configs": [{"config_name": "a", "data_files": [{"split": "x", "path": "a/x-*"}]}]}
    >>> _data_files(card, "a"), _data_files(card, "b"), _data_files(None, "a")[:2]
    (['a/x-*'], [], ['*.parquet', '*.parquet.gz'])
    """
    configs = card.get("configs") if isinstance(card, dict) else None
    if not isinstance(configs, list):
        return [*DATA_FILES]
    for one in configs:
        if isinstance(one, dict) and one.get("config_name") == config:
            folder = str(one.get("data_dir") or "")
            given = _paths(one["data_files"]) if "data_files" in one else [*DATA_FILES]
            return [f"{folder}/{path}" if folder else path for path in given]
    return []


def _paths(data_files: Any) -> list[str]:
    """Return the paths in any form that a card may have: one, a list, by split, or as records."""
    if isinstance(data_files, str):
        return [data_files]
    if isinstance(data_files, dict):
        named = [data_files["path"]] if "path" in data_files else [*data_files.values()]
        return [path for value in named for path in _paths(value)]
    if isinstance(data_files, list):
        return [path for value in data_files for path in _paths(value)]
    return []


def _read_card(folder: Path, config: str) -> Any:
    """Return the header of the folder's README; None if there is none.

    Raises UserError for one that is no YAML, or expands to more than memory holds.
    """
    card = folder / CARD
    if not card.is_file():
        return None
    try:
        text = card.read_text(encoding="utf-8").removeprefix("\ufeff")
    except (OSError, ValueError) as error:
        raise UserError(f"cannot load '{config}': {error}", where=str(card)) from error
    header = text.removeprefix("---").partition("\n---")[0] if text.startswith("---") else ""
    return parse_yaml(header, where=str(card), times=CARD_TIMES)


def _reason(error: Exception) -> str:
    """Return the error's message, or its cause's if datasets only reports an error."""
    cause = error.__cause__ if str(error).startswith(VAGUE) else None
    return str(cause or error) or repr(error)
