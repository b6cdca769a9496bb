"""An exported folder sent to the Hub, by huggingface_hub."""

from __future__ import annotations

import os
from pathlib import Path

from peftlab.core.errors import UserError, first_line

REMEDY = "a repository that you may write, with a token by 'hf auth login' or HF_TOKEN"


def check_repository(repository: str) -> None:
    """Raise UserError if the text cannot be a repository's name."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise UserError(
            f"'{repository}' is not a repository name: {first_line(error)}",
            where="--push",
            allowed="OWNER/NAME",
        ) from error


def push(folder: Path | str, repository: str, *, private: bool = False) -> str:
    """Upload the folder's files to the model repository, which is created if needed; return its
    URL.

    One commit, to the default branch; files of other names stay. HF_ENDPOINT says to which Hub.
    Raises UserError for whatever the Hub, or the way to it, refuses.
    """
    from huggingface_hub import HfApi

    check_repository(repository)
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    try:
        # None leaves a repository that is there as it is, and makes a new one as its owner's are.
        url = api.create_repo(repository, private=private or None, repo_type="model", exist_ok=True)
        api.upload_folder(
            folder_path=folder,
            repo_id=url.repo_id,
            commit_message="Trained, measured and exported by peftlab",
        )
    except Exception as error:  # of the network, of the Hub, and of a token that is missing
        raise UserError(
            f"cannot push: {first_line(error)}", where=repository, remedy=REMEDY
        ) from error
    return str(url)
