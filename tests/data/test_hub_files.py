"""Files of the Hub are downloaded once, checked, used offline, and refused in one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from peftlab.core.errors import UserError
from peftlab.data.hub_files import RepositoryKind, fetch
from tests.hub.client import use_hub
from tests.hub.server import Fault, HubServer, Repository

WEIGHTS = bytes(range(256)) * 64
CONTENTS = {
    "config.json": b"{}",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"a pickle",
    "onnx/model.safetensors": b"another",
}
WANTED = ("config.json", "model.safetensors")


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer().running() as server:
        yield server


@pytest.fixture
def repository(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Repository]:
    use_hub(monkeypatch, hub.url, tmp_path)
    monkeypatch.setattr("huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda _: None))
    hub.add("datasets/someone/thing", CONTENTS)
    yield hub.add("models/someone/thing", CONTENTS)
    use_hub(monkeypatch, hub.url, tmp_path)


def ask(name: str = "someone/thing", kind: RepositoryKind = "model") -> Path:
    return fetch(name, WANTED, kind=kind, ignored=["*/*"])


def refusal(name: str = "someone/thing", kind: RepositoryKind = "model") -> str:
    with pytest.raises(UserError) as caught:
        ask(name, kind)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def again(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, offline: bool = False
) -> list[str]:
    """Reset the process's memory, and return the list of requests from then on."""
    use_hub(monkeypatch, hub.url, tmp_path, offline=offline)
    hub.asked.clear()
    return hub.asked


def test_what_fits_a_pattern_is_downloaded_and_nothing_else(
    hub: HubServer, repository: Repository
) -> None:
    folder = ask()
    found = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {name: CONTENTS[name] for name in WANTED}
    assert not [place for place in hub.asked if "pytorch_model" in place or "onnx" in place]


def test_in_one_process_the_hub_is_asked_once_and_in_the_next_only_for_the_commit(
    hub: HubServer, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ask()
    before = len(hub.asked)
    assert ask() == first
    assert len(hub.asked) == before
    asked = again(hub, tmp_path, monkeypatch)
    assert ask() == first
    assert asked == ["GET /api/models/someone/thing/revision/main"]


def test_offline_the_cache_is_used_and_nothing_is_asked(
    hub: HubServer, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ask()
    asked = again(hub, tmp_path, monkeypatch, offline=True)
    assert ask() == first
    assert refusal("someone/else").startswith(
        "offline: the model 'someone/else' is not in the Hub's cache, or not all of it (allowed: "
    )
    assert asked == []


def test_offline_a_file_that_was_not_wanted_before_is_missed(
    hub: HubServer, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch("someone/thing", ["config.json"])
    again(hub, tmp_path, monkeypatch, offline=True)
    assert "not all of it" in refusal()


@pytest.mark.parametrize("fault", ["429", "503"])
def test_what_is_cached_is_used_where_the_hub_has_a_fault(
    fault: Fault,
    hub: HubServer,
    repository: Repository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = ask()
    again(hub, tmp_path, monkeypatch)
    repository.fault = fault
    assert ask() == first


@pytest.mark.parametrize("kind", ["model", "dataset"])
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("401", "the Hub answers 401: there is none, or it is private and the token"),
        ("401 token", "the Hub answers 401: there is none, or it is private and the token"),
        ("403", "the Hub answers 403: only those who asked for access may read it"),
        ("404", "the Hub answers 404: there is no such repository"),
        ("429", "the Hub answers 429: too many requests (allowed: to wait for 57 seconds"),
        ("503", "the Hub answers 503: it has a fault of its own (allowed: to try again later, or"),
        ("cut", "the connection failed: RemoteProtocolError: peer closed connection"),
    ],
)
def test_a_refusal_is_one_line_that_says_what_to_do(
    fault: Fault, words: str, kind: RepositoryKind, hub: HubServer, repository: Repository
) -> None:
    hub.repositories[f"{kind}s/someone/thing"].fault = fault
    line = refusal(kind=kind)
    assert line.startswith(f"{hub.url}: the {kind} 'someone/thing': {words}")


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_a_file_with_a_wrong_checksum_is_named_and_does_not_stay(
    kind: RepositoryKind, hub: HubServer, repository: Repository, tmp_path: Path
) -> None:
    served = hub.repositories[f"{kind}s/someone/thing"]
    served.fault = "changed"
    assert refusal(kind=kind).startswith(
        f"{hub.url}: model.safetensors of 'someone/thing' came with a wrong checksum and was"
    )
    assert not list(tmp_path.rglob("model.safetensors"))
    served.fault = None
    assert (ask(kind=kind) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_download_that_is_cut_is_tried_again(hub: HubServer, repository: Repository) -> None:
    repository.fault = "cut once"
    assert (ask() / "model.safetensors").read_bytes() == WEIGHTS
    assert sum(place.startswith("GET /cdn/") for place in hub.asked) == 2


def test_a_token_is_shown_to_the_hub_alone(
    hub: HubServer, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    assert "the Hub answers 401" in refusal()
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert (ask() / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.shown_to_cdn == []


def test_a_hub_that_is_gone_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with HubServer().running() as gone:
        use_hub(monkeypatch, gone.url, tmp_path)
    assert (
        f"{gone.url}: the model 'someone/thing': the connection failed: ConnectError" in refusal()
    )
    use_hub(monkeypatch, gone.url, tmp_path)
