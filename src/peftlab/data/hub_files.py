"""Files of a repository on the Hub: downloaded once, checked, and found again offline."""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from peftlab.core.errors import AbsentError, UserError, first_line
from peftlab.core.identity import file_sha256
from peftlab.core.progress import Stage, stage

RepositoryKind = Literal["model", "dataset"]

MOST_TRIES = 3
"""The attempts at a request that the Hub answers with 429 or a server error, 1 and 2 s apart."""
LONGEST_WAIT_SECONDS = 10
"""The longest wait that is granted to an answer of 429; a longer one is taken for a refusal."""
TIMEOUT_SECONDS = 30.0
"""The seconds without a byte from the Hub after which a download has failed."""
CONNECTIONS = 4
READ_BYTES = 1 << 20

ELSE = {
    "model": "a folder as save_pretrained writes it (here is none of that name), or minilm",
    "dataset": "a folder in its layout (hub:FOLDER), a GLUE folder, or demo",
}
"""The alternatives that need no Hub, by kind."""


def fetch(
    repository: str,
    patterns: Sequence[str],
    *,
    kind: RepositoryKind = "model",
    revision: str | None = None,
    ignored: Sequence[str] = (),
) -> Path:
    """Return the folder with the repository's files that match any pattern, and maybe others.

    What is not in the Hub's cache (HF_HOME) is downloaded, and checked against the checksum under
    which the Hub lists it. Offline, or where the Hub does not answer, the cache alone is used.
    In one process a repository is asked for once. Raises AbsentError where files are not to be had.
    """
    return _fetch(repository, tuple(patterns), kind, revision, tuple(ignored))


@lru_cache
def _fetch(
    repository: str,
    patterns: tuple[str, ...],
    kind: RepositoryKind,
    revision: str | None,
    ignored: tuple[str, ...],
) -> Path:
    from huggingface_hub import constants

    if constants.is_offline_mode():
        return _cached(repository, patterns, kind, revision, ignored, cause=None)
    _be_impatient()
    storage = _storage(repository, kind)
    before = _blobs(storage)
    try:
        folder = _download(repository, patterns, kind, revision, ignored, local_files_only=False)
    except Exception as error:
        if _is_final(error):
            raise _refusal(repository, kind, error) from error
        return _cached(repository, patterns, kind, revision, ignored, cause=error)
    finally:
        bad = [blob for blob in _blobs(storage) - before if not _is_as_named(blob)]
        names = [name for blob in bad for name in _remove(storage, blob)]
    if names:
        raise UserError(
            f"{', '.join(names)} of '{repository}' came with a wrong checksum and was removed",
            where=_endpoint(),
            remedy="the same command again, which downloads the file anew",
        )
    return folder


def _cached(
    repository: str,
    patterns: tuple[str, ...],
    kind: RepositoryKind,
    revision: str | None,
    ignored: tuple[str, ...],
    *,
    cause: Exception | None,
) -> Path:
    """Return the folder in the cache; raise UserError, with any cause, if incomplete."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return _download(repository, patterns, kind, revision, ignored, local_files_only=True)
    except (LocalEntryNotFoundError, OSError, ValueError) as error:
        if cause is not None or isinstance(error, ValueError):
            raise _refusal(repository, kind, cause or error) from error
        raise AbsentError(
            f"the {kind} '{repository}' is not in the Hub's cache, or not all of it",
            where="offline",
            allowed=f"what was downloaded before, or {ELSE[kind]}",
        ) from error


def _download(
    repository: str,
    patterns: tuple[str, ...],
    kind: RepositoryKind,
    revision: str | None,
    ignored: tuple[str, ...],
    *,
    local_files_only: bool,
) -> Path:
    from huggingface_hub import constants, snapshot_download

    with _quietly(), stage(f"downloading {repository}", unit="MB") as downloading:
        return Path(
            snapshot_download(
                repository,
                repo_type=kind,
                revision=revision,
                allow_patterns=list(patterns),
                ignore_patterns=list(ignored) or None,
                local_files_only=local_files_only,
                max_workers=CONNECTIONS,
                tqdm_class=_bar_class(downloading),
                endpoint=constants.ENDPOINT,
                cache_dir=constants.HF_HUB_CACHE,
            )
        )


def _bar_class(downloading: Stage) -> Any:
    """Return a tqdm that draws nothing: its bars of bytes tell the stage how far they are."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._of_bytes = options.get("unit") == "B"
            super().__init__(*arguments, **options | {"disable": True})

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            if self._of_bytes:
                downloading.reach(int(self.n / 1e6), int((self.total or 0) / 1e6) or None)

    return Bar


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence huggingface_hub's log of its attempts: an error of ours says how they ended."""
    from huggingface_hub.utils.logging import get_verbosity, set_verbosity

    verbosity = get_verbosity()
    set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        set_verbosity(verbosity)


@lru_cache
def _be_impatient() -> None:
    """Bound the time for which huggingface_hub waits and retries; by itself it obeys the Hub."""
    from huggingface_hub import hf_raise_for_status, set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    tries: Counter[str] = Counter()

    def bound_waiting(request: Any) -> None:
        limits = request.extensions.get("timeout", {})
        request.extensions["timeout"] = {key: limits[key] or TIMEOUT_SECONDS for key in limits}

    def give_up(response: Any) -> None:
        if response.status_code != 429 and response.status_code < 500:
            return
        place = f"{response.request.method} {response.request.url}"
        tries[place] += 1
        if tries[place] >= MOST_TRIES or _asked_to_wait(response) > LONGEST_WAIT_SECONDS:
            tries[place] = 0
            hf_raise_for_status(response)

    def client() -> Any:
        made = default_client_factory()
        hooks = made.event_hooks
        made.event_hooks = {
            "request": [*hooks["request"], bound_waiting],
            "response": [*hooks["response"], give_up],
        }
        return made

    set_client_factory(client)


def _asked_to_wait(response: Any) -> int:
    """Return the seconds that an answer asks to wait before the next request; 0 if none."""
    windows = re.search(r"\br=0;t=(\d+)", response.headers.get("RateLimit", ""))
    asked = windows[1] if windows else response.headers.get("Retry-After", "").strip()
    return int(asked) if asked.isdecimal() else 0


def _is_final(error: Exception) -> bool:
    """Return whether an error would be the same with a full cache: the name or the token."""
    response = getattr(error, "response", None)
    return isinstance(error, ValueError) or getattr(response, "status_code", 0) in {401, 403, 404}


def _refusal(repository: str, kind: RepositoryKind, error: Exception) -> AbsentError:
    """Return the user's error for a refusal by the Hub, or by the network."""
    cause: BaseException = error
    while getattr(cause, "response", None) is None and cause.__cause__ is not None:
        cause = cause.__cause__
    response: Any = getattr(cause, "response", None)
    status = getattr(response, "status_code", 0)
    what = f"the {kind} '{repository}'"
    place = f"{what}: the Hub answers {status}"
    allowed = f"a repository that this machine can reach or has cached, {ELSE[kind]}"
    if status == 401:
        what = f"{place}: there is none, or it is private and the token, if any, is not accepted"
        allowed = "another name, or a token that may read it in HF_TOKEN (or `hf auth login`)"
    elif status == 403:
        what = f"{place}: only those who asked for access may read it"
        allowed = f"access, asked for at {_endpoint()}/{repository}, and a token in HF_TOKEN"
    elif status == 404:
        what = f"{place}: there is no such repository, revision or file"
    elif status == 429:
        seconds = _asked_to_wait(response)
        wait = f" for {seconds} seconds" if seconds else ""
        what = f"{place}: too many requests"
        allowed = f"to wait{wait} and try again; more requests with a token in HF_TOKEN"
    elif status >= 500:
        what = f"{place}: it has a fault of its own"
        allowed = f"to try again later, or {ELSE[kind]}"
    elif isinstance(cause, ValueError):
        what = f"{what}: {first_line(cause)}"
    else:
        what = f"{what}: the connection failed: {type(cause).__name__}: {first_line(cause)}"
        allowed = f"to try again, what was downloaded whole is kept; or {ELSE[kind]}"
    return AbsentError(what, where=_endpoint(), allowed=allowed)


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _storage(repository: str, kind: RepositoryKind) -> Path:
    """Return the repository's folder in the cache."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type=kind)


def _blobs(storage: Path) -> set[Path]:
    """Return the files of all revisions, each under its checksum, without half-written ones."""
    folder = storage / "blobs"
    return {path for path in folder.iterdir() if not path.suffix} if folder.is_dir() else set()


def _is_as_named(blob: Path) -> bool:
    """Return whether a file has the checksum that names it: of git (40 digits) or SHA-256."""
    if len(blob.name) == 64:
        return file_sha256(blob) == blob.name
    if len(blob.name) != 40:
        return True  # another server's tag
    digest = hashlib.sha1(b"blob %d\0" % blob.stat().st_size, usedforsecurity=False)
    with blob.open("rb") as stream:
        while chunk := stream.read(READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest() == blob.name


def _remove(storage: Path, blob: Path) -> list[str]:
    """Remove the file from the cache; its names in the repository."""
    names = []
    for pointer in (storage / "snapshots").rglob("*"):
        if pointer.is_symlink() and pointer.resolve() == blob.resolve():
            names.append("/".join(pointer.relative_to(storage / "snapshots").parts[1:]))
            pointer.unlink()
    blob.unlink(missing_ok=True)
    return names or [blob.name]
