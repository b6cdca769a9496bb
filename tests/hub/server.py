"""A stand-in for the Hub on loopback that answers huggingface_hub, with faults on demand.

Files that the Hub keeps in LFS are sent from another host (localhost for 127.0.0.1), as by its CDN.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Literal
from urllib.parse import unquote, urlsplit

LFS_SUFFIXES = (".safetensors", ".parquet")

Fault = Literal["401", "401 token", "403", "404", "429", "503", "cut", "cut once", "changed"]
"""The faults of a repository: `cut` ends a large file half way, `changed` alters a byte, ..."""
HEADERS: dict[str, dict[str, str]] = {
    "401": {"X-Error-Message": "Invalid username or password."},
    "401 token": {"X-Error-Message": "Invalid credentials in Authorization header"},
    "403": {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."},
    "404": {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"},
    "429": {"RateLimit": '"api";r=0;t=57', "RateLimit-Policy": '"fixed window";"api";q=5;w=300'},
    "503": {},
}


@dataclass(frozen=True, kw_only=True)
class File:
    """A file of a repository."""

    path: str
    content: bytes

    @property
    def is_lfs(self) -> bool:
        return self.path.endswith(LFS_SUFFIXES)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def git_id(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_lfs else self.git_id

    def to_json(self) -> dict[str, object]:
        entry: dict[str, object] = {
            "type": "file", "path": self.path, "size": len(self.content), "oid": self.git_id,
        }  # fmt: skip
        if self.is_lfs:
            entry["lfs"] = {"oid": self.sha256, "size": len(self.content), "pointerSize": 134}
        return entry


@dataclass(kw_only=True)
class Repository:
    """A repository at its only commit; `token` is needed to read it."""

    files: dict[str, File]
    fault: Fault | None = None
    token: str | None = None

    @property
    def commit(self) -> str:
        return hashlib.sha1("".join(file.etag for file in self.files.values()).encode()).hexdigest()


@dataclass(kw_only=True)
class HubServer:
    """The repositories by `models/OWNER/NAME` or `datasets/OWNER/NAME`, and the requests."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    shown_to_cdn: list[str] = field(default_factory=list)
    """The tokens that were sent to a host to which they do not belong."""
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, name: str, contents: Mapping[str, bytes]) -> Repository:
        files = {path: File(path=path, content=content) for path, content in contents.items()}
        self.repositories[name] = Repository(files=files)
        return self.repositories[name]

    @contextmanager
    def running(self) -> Iterator[HubServer]:
        """Answer requests until the block ends."""
        hub = self

        class Bound(_Handler):
            server_of = hub

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Bound)
        server.daemon_threads = True
        self.port = server.server_address[1]
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: HubServer

    def log_message(self, *_: object) -> None:
        """Log nothing, since tests read the requests."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.server_of.asked.append(f"{self.command} {self.path}")
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if parts[0] == "cdn":
            self._send_content("/".join(parts[1:-1]), parts[-1])
        elif parts[0] == "api":
            self._send_api(parts[1:])
        else:
            kind = "datasets" if parts[0] == "datasets" else "models"
            rest = parts[1:] if kind == parts[0] else parts
            self._send_file("/".join([kind, *rest[:2]]), rest[2:])

    def _refused(self, name: str) -> bool:
        """Return whether the request is refused, after answering it if so."""
        repository = self.server_of.repositories.get(name)
        fault: str | None = "404" if repository is None else repository.fault
        if repository is not None and repository.token is not None:
            shown = self.headers.get("Authorization")
            if shown != f"Bearer {repository.token}":
                fault = "401 token" if shown else "401"
        if fault not in HEADERS:
            return False
        self._send(int(fault[:3]), b"", HEADERS[fault])
        return True

    def _send_api(self, parts: list[str]) -> None:
        name = "/".join(parts[:3])
        if self._refused(name):
            return
        repository = self.server_of.repositories[name]
        value: object
        if parts[3:4] == ["tree"]:
            value = [file.to_json() for file in repository.files.values()]
        else:
            siblings = [{"rfilename": path} for path in repository.files]
            value = {"id": "/".join(parts[1:3]), "sha": repository.commit, "siblings": siblings}
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send_file(self, name: str, parts: list[str]) -> None:
        """Answer `resolve/REVISION/PATH`."""
        if self._refused(name):
            return
        repository = self.server_of.repositories[name]
        file = repository.files.get("/".join(parts[2:]))
        headers = {"X-Repo-Commit": repository.commit}
        if file is None:
            self._send(404, b"", {**headers, "X-Error-Code": "EntryNotFound"})
        elif not file.is_lfs:
            self._send(200, file.content, {**headers, "ETag": f'"{file.etag}"'})
        else:
            place = f"http://localhost:{self.server_of.port}/cdn/{name}/{file.sha256}"
            linked = {"X-Linked-ETag": f'"{file.etag}"', "X-Linked-Size": str(len(file.content))}
            self._send(302, b"", {**headers, **linked, "Location": place})

    def _send_content(self, name: str, sha256: str) -> None:
        """Send a large file from the host of large files, from any byte on."""
        token = self.headers.get("Authorization")
        if token is not None:
            self.server_of.shown_to_cdn.append(token)
        repository = self.server_of.repositories[name]
        (file,) = {file for file in repository.files.values() if file.sha256 == sha256}
        content = file.content
        if repository.fault == "changed":
            content = bytes([content[0] ^ 1]) + content[1:]
        asked = self.headers.get("Range", "bytes=0-").removeprefix("bytes=")
        first = int(asked.partition("-")[0])
        headers = {"ETag": f'"{sha256}"', "Accept-Ranges": "bytes"}
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        half = len(content) // 2
        is_cut = repository.fault in {"cut", "cut once"}
        if repository.fault == "cut once":
            repository.fault = None
        sent = content[first : max(first, half)] if is_cut else content[first:]
        self._send(206 if first else 200, sent, headers, length=len(content) - first)

    def _send(
        self, status: int, body: bytes, headers: Mapping[str, str], length: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        length = len(body) if length is None else length
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
            self.close_connection = self.close_connection or len(body) < length
