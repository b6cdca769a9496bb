"""A place by URL is tried before anything trains; any fault is reported in one line."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.errors import UserError
from peftlab.runner.exchange import Exchange


def test_a_note_is_read_by_another_who_has_the_url(tmp_path: Path, s3_url: str) -> None:
    for url in (f"file://{tmp_path}/new/folder", s3_url):
        note = Exchange(url).leave_note()
        other = Exchange(url + "/")
        other.read_note(note)
        other.remove_note(note)
        with pytest.raises(UserError, match="cannot be used"):
            Exchange(url).read_note(note)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("runs/shared", "the nodes cannot share this location"),
        ("memory://runs", "the nodes cannot share this location"),
        ("s4://bucket/runs", "Protocol not known: s4"),
        ("file:///proc/none/here", "cannot be used"),
        ("s3://", "cannot be used"),
    ],
)
def test_a_url_that_cannot_be_used_is_the_users_mistake(
    url: str, words: str, s3_server: Any
) -> None:
    with pytest.raises(UserError, match=words) as caught:
        Exchange(url).leave_note()
    assert str(caught.value).startswith(f"--artifacts {url}: ")
    assert "\n" not in str(caught.value)


def test_a_bucket_that_is_not_there_is_not_made(s3_url: str) -> None:
    for _ in range(2):
        with pytest.raises(UserError, match="bucket does not exist"):
            Exchange("s3://no-such-bucket/studies").leave_note()


def test_what_is_missing_is_to_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = importlib.import_module("fsspec.registry")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(registry._registry, "s3", raising=False)
    with pytest.raises(UserError, match=r"Install s3fs to access S3.*pip install"):
        Exchange("s3://bucket/studies")


CREDENTIALS = """
import sys
from peftlab.core.errors import UserError
from peftlab.runner.exchange import Exchange
assert "torch" not in sys.modules
try:
    Exchange(sys.argv[1]).leave_note()
except UserError as error:
    print(error)
"""


def test_without_credentials_it_says_so_and_needs_no_torch(
    tmp_path: Path, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", CREDENTIALS, s3_url], capture_output=True, text=True
    )
    assert "Unable to locate credentials" in done.stdout, done.stderr
    assert done.stdout.count("\n") == 1
