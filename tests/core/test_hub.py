"""The Hub is asked once whether it is there, and taken at its word."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from peftlab.core import hub
from peftlab.core.errors import UserError
from peftlab.core.hub import OFFLINE, go_offline_if_unreachable, is_repository_id

PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the state before the Hub's libraries are imported, with no variables set."""
    for name in (OFFLINE, "HF_ENDPOINT", *PROXIES):
        monkeypatch.setenv(name, "")  # so that what the test sets is taken back
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "huggingface_hub", raising=False)


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine that accepts connections during the test."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        free: int = server.getsockname()[1]
    return free


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_who_says_offline_is_not_asked_again(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OFFLINE, value)
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert go_offline_if_unreachable()
    assert os.environ[OFFLINE] == value


def test_a_hub_that_answers_is_used(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    assert not go_offline_if_unreachable()
    assert OFFLINE not in os.environ


def test_a_hub_that_does_not_answer_sends_the_process_offline(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed_port}")
    assert go_offline_if_unreachable()
    assert os.environ[OFFLINE] == "1"


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        (None, ("huggingface.co", 443)),
        ("https://mirror.example", ("mirror.example", 443)),
        ("http://mirror.example/hf", ("mirror.example", 80)),
        ("https://mirror.example:8443", ("mirror.example", 8443)),
    ],
)
def test_the_host_that_is_asked_is_the_endpoints(
    endpoint: str | None, address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[tuple[str, int], float]] = []

    def connect(place: tuple[str, int], timeout: float) -> socket.socket:
        asked.append((place, timeout))
        return socket.socket()

    if endpoint is not None:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
    monkeypatch.setattr(socket, "create_connection", connect)
    assert not go_offline_if_unreachable()
    assert asked == [(address, hub.TIMEOUT_SECONDS)]


@pytest.mark.parametrize(
    "endpoint",
    [
        "mirror.example",
        "mirror",
        "https://",
        "https:///hf",
        "ftp://mirror.example",
        "https://mirror.example:port",
        "https://mirror.example:99999",
        "https://[::1",
    ],
)
@pytest.mark.parametrize("proxy", ["", "http://proxy.example:3128"])
def test_an_endpoint_that_is_no_url_is_one_line(
    endpoint: str, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(UserError) as caught:
        go_offline_if_unreachable()
    assert str(caught.value) == (
        f"HF_ENDPOINT: '{endpoint}' is not a URL (allowed: https://HOST or http://HOST)"
    )
    assert OFFLINE not in os.environ


@pytest.mark.parametrize("name", PROXIES)
def test_behind_a_proxy_nothing_is_asked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://proxy.example:3128")
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert not go_offline_if_unreachable()
    assert OFFLINE not in os.environ


def test_once_the_library_is_imported_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert not go_offline_if_unreachable()


def refuse(*args: object) -> None:
    raise AssertionError("the Hub was asked")


@settings(max_examples=500, deadline=None)
@given(name=st.text(alphabet="abZ09_-./ ~\n", max_size=12) | st.text(alphabet="a/", min_size=90))
@example(name="a" * 96 + "/" + "b" * 96)
@example(name="a/b.git")
@example(name="über/alles")
def test_a_name_has_the_form_that_the_hub_s_own_library_asks_for(name: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        assert not is_repository_id(name)
    else:
        assert is_repository_id(name) == name.isascii()
