"""A folder is pushed by the requests of huggingface_hub."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from peftlab.core.errors import UserError
from peftlab.outputs.push import check_repository

TOKEN = "hf_of_nobody"
CODE = """
import sys
from pathlib import Path
from peftlab.core.errors import UserError
from peftlab.outputs.push import push
try:
    print(push(Path(sys.argv[1]), sys.argv[2], private=sys.argv[3] == "private"))
except UserError as error:
    sys.exit(f"peftlab: {error}")
"""


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as a push needs, which notes its requests."""

    asked: list[tuple[str, str, str | None, bytes]]
    refuses: bool

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append((self.command, self.path, self.headers.get("Authorization"), body))
        if self.refuses:
            self._answer({"error": "Invalid credentials"}, 401)
        elif self.path == "/api/repos/create":
            host = self.headers["Host"]
            self._answer({"url": f"http://{host}/me/my-classifier", "name": "me/my-classifier"})
        elif self.path.endswith("/preupload/main"):
            files = json.loads(body)["files"]
            self._answer(
                {
                    "files": [
                        {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                        for one in files
                    ]
                }
            )
        elif self.path.endswith("/commit/main"):
            url = f"http://{self.headers['Host']}/me/my-classifier/commit/{'0' * 40}"
            self._answer({"success": True, "commitOid": "0" * 40, "commitUrl": url})
        else:
            self._answer({})

    def do_GET(self) -> None:
        self.do_POST()

    def _answer(self, value: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def hub() -> Iterator[tuple[type[Hub], str]]:
    """The Hub's class, which has the requests, and its address."""

    class Own(Hub):
        asked: list[tuple[str, str, str | None, bytes]] = []  # noqa: RUF012
        refuses = False

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Own, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def pushed(folder: Path, endpoint: str, home: Path, how: str = "private", **more: str) -> Any:
    """Return the output of a process that pushes the folder to this Hub."""
    environment = {
        **os.environ, "HF_ENDPOINT": endpoint, "HF_TOKEN": TOKEN, "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "127.0.0.1", **more,
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-c", CODE, str(folder), "me/my-classifier", how],
        capture_output=True, text=True, check=False, env=environment, timeout=100,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two files."""
    made = tmp_path / "model"
    made.mkdir()
    (made / "README.md").write_text("# A card\n")
    (made / "config.json").write_text("{}")
    return made


def test_a_push_makes_the_repository_and_commits_every_file(
    hub: tuple[type[Hub], str], folder: Path, tmp_path: Path
) -> None:
    own, endpoint = hub
    done = pushed(folder, endpoint, tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{endpoint}/me/my-classifier"
    by_path = {path: body for _, path, _, body in own.asked}
    created = json.loads(by_path["/api/repos/create"])
    assert (created["name"], created["organization"]) == ("my-classifier", "me")
    assert created.get("private") is True or created.get("visibility") == "private"
    (commit,) = [path for path in by_path if path.endswith("/commit/main")]
    assert commit == "/api/models/me/my-classifier/commit/main"
    lines = [json.loads(line) for line in by_path[commit].splitlines()]
    files = {
        line["value"]["path"]: base64.b64decode(line["value"]["content"])
        for line in lines
        if line["key"] == "file"
    }
    assert files == {"README.md": b"# A card\n", "config.json": b"{}"}
    tokens = {path: token for _, path, token, _ in own.asked}
    assert tokens["/api/repos/create"] == tokens[commit] == f"Bearer {TOKEN}"


def test_what_the_hub_refuses_is_said_in_one_line(
    hub: tuple[type[Hub], str], folder: Path, tmp_path: Path
) -> None:
    own, endpoint = hub
    own.refuses = True
    done = pushed(folder, endpoint, tmp_path / "home", "public")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert line.startswith("peftlab: me/my-classifier: cannot push: ")
    assert "401" in line
    assert "HF_TOKEN" in line
    (asked,) = [body for _, path, _, body in own.asked if path == "/api/repos/create"]
    assert not json.loads(asked).get("private")
    assert TOKEN not in done.stderr


@pytest.mark.parametrize("name", ["", "a/b/c", "../up", "me/<b>", "me/a b", "-me/x", "a" * 120])
def test_what_can_be_no_repository_is_refused_before_anything_is_written(name: str) -> None:
    with pytest.raises(
        UserError, match=r"--push: '.*' is not a repository name: .*\(allowed: OWNER/NAME"
    ):
        check_repository(name)
