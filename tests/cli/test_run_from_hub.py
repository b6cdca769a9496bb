"""`peftlab run` works with everything from the Hub, over HTTP and offline, and reports failures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from peftlab.cli.app import main
from tests.hub.client import use_hub
from tests.hub.content import DATA, MODEL, glue, tiny_bert
from tests.hub.server import Fault, HubServer

pytest.importorskip("datasets")
SMALL = ("--arms", "bitfit", "--tasks", "sst2", "--set", "training.num_train_epochs=1")


@dataclass(frozen=True, kw_only=True)
class Downloaded:
    """A run that has ended: the requests to the Hub, its cache folder, and its output."""

    home: Path
    workspace: Path
    asked: list[str]
    status: int
    output: str
    errors: str


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    return {
        MODEL: tiny_bert(tmp_path_factory.mktemp("served") / "bert"),
        DATA: glue(num_train=32, num_dev=16),
    }


def filled(contents: dict[str, dict[str, bytes]]) -> HubServer:
    hub = HubServer()
    for name, files in contents.items():
        hub.add(name, files)
    return hub


@pytest.fixture(scope="module")
def downloaded(
    contents: dict[str, dict[str, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> Downloaded:
    """The whole study, run by a process of its own that knows only the address of the Hub."""
    folder = tmp_path_factory.mktemp("from-hub")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    with filled(contents).running() as hub:
        ended = subprocess.run(
            [sys.executable, "-m", "peftlab", "run", "glue-peft"],
            cwd=folder,
            env=environment | {"HF_HOME": str(folder / "home"), "HF_ENDPOINT": hub.url},
            capture_output=True,
            text=True,
        )
    return Downloaded(
        home=folder / "home",
        workspace=folder / "peftlab-runs",
        asked=hub.asked,
        status=ended.returncode,
        output=ended.stdout,
        errors=ended.stderr,
    )


@pytest.fixture
def hub(
    contents: dict[str, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HubServer]:
    """A Hub that has everything, with an empty cache."""
    monkeypatch.setattr("huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda _: None))
    with filled(contents).running() as server:
        use_hub(monkeypatch, server.url, tmp_path)
        yield server
        use_hub(monkeypatch, server.url, tmp_path)


def test_glue_peft_with_no_further_flag_downloads_trains_and_reports(
    downloaded: Downloaded,
) -> None:
    assert downloaded.status == 0, downloaded.errors
    assert "[24/24] lora-10-epochs on mrpc, seed 42: done" in downloaded.errors
    report = downloaded.workspace / "reports" / "glue-peft" / "report.html"
    assert f"report: {report}" in downloaded.output
    assert "SST-2" in report.read_text()
    large = [place for place in downloaded.asked if place.startswith("GET /cdn/")]
    assert len(large) == len(set(large)) == 7, "train and dev of three tasks, and the weights, once"
    unwanted = ("pytorch_model", "onnx", "resolve/main")
    assert not [place for place in downloaded.asked if any(word in place for word in unwanted)]


def test_once_downloaded_it_goes_on_offline(
    downloaded: Downloaded,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gone = "http://127.0.0.1:9"
    use_hub(monkeypatch, gone, downloaded.home, offline=True)
    place = ["--workspace", str(downloaded.workspace)]
    assert main(["run", "glue-peft", "--dry-run", "--json", *place]) == 0
    planned = json.loads(capsys.readouterr().out)["trials"]
    assert {trial["status"] for trial in planned} == {"done"}, "the rows have the same digest"
    assert main(["run", "glue-peft", *SMALL, "--seeds", "7", "--workspace", str(tmp_path)]) == 0
    assert "[1/1] bitfit on sst2, seed 7: done" in capsys.readouterr().err
    use_hub(monkeypatch, gone, tmp_path)


@pytest.mark.parametrize("name", [MODEL, DATA])
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("401", "the Hub answers 401"),
        ("404", "the Hub answers 404"),
        ("429", "the Hub answers 429"),
        ("cut", "the connection failed"),
        ("changed", "wrong checksum"),
    ],
)
def test_a_fault_of_the_hub_is_one_line_and_exit_2(
    fault: Fault,
    words: str,
    name: str,
    hub: HubServer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    hub.repositories[name].fault = fault
    arguments = ["run", "glue-peft", *SMALL, "--workspace", str(tmp_path / "runs")]
    status = main(arguments)
    lines = capfd.readouterr().err.splitlines()
    assert status == 2, lines
    (line,) = [line for line in lines if line.startswith("peftlab: ")]
    assert words in line
    assert name.partition("/")[2] in line
    assert not [line for line in lines if "Traceback" in line]


def test_a_checkpoint_without_safetensors_is_refused(
    hub: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del hub.repositories[MODEL].files["model.safetensors"]
    assert main(["run", "glue-peft", *SMALL, "--workspace", str(tmp_path / "runs")]) == 2
    assert "has no model.safetensors" in capsys.readouterr().err
