"""The program answers quickly, explains every command, and says each mistake in one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from peftlab import __version__
from peftlab.cli import listing
from peftlab.cli.commands import app
from peftlab.core.process import TRUST, trusts_remote_code
from peftlab.store.workspace import Workspace

Peftlab = Callable[..., Any]
COMMANDS = [
    *((str(command.name),) for command in app.registered_commands),
    *((listing.NAME, command.callback.__name__) for command in listing.app.registered_commands),
]
HEAVY = {"torch", "transformers", "peft", "pandas", "sklearn", "scipy", "pyarrow", "altair"}


def test_every_command_of_the_design_that_is_built_is_there() -> None:
    assert [" ".join(command) for command in COMMANDS] == [
        "run", "choose", "new", "report", "status", "tune", "lint", "params", "predict", "submit",
        "export", "bench",
        "list tasks", "list methods", "list models", "list architectures",
        "list studies", "list trials",
    ]  # fmt: skip


@pytest.mark.parametrize("command", [(), (listing.NAME,), *COMMANDS], ids=" ".join)
def test_the_help_of_a_command_has_an_example(command: tuple[str, ...], peftlab: Peftlab) -> None:
    answer = peftlab(*command, "--help")
    assert answer.status == 0
    assert answer.err == ""
    assert f"Example: peftlab {' '.join(command)}".rstrip() in " ".join(answer.out.split())


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_takes_json(command: tuple[str, ...], peftlab: Peftlab) -> None:
    assert "--json" in peftlab(*command, "--help").out


def test_no_command_shows_the_help_and_is_a_mistake(peftlab: Peftlab) -> None:
    answer = peftlab()
    assert answer.status == 2
    assert "Usage: peftlab" in answer.out


def test_the_version_is_printed(peftlab: Peftlab) -> None:
    answer = peftlab("--version")
    assert (answer.status, answer.out) == (0, f"peftlab {__version__}\n")


def test_help_imports_none_of_the_heavy_libraries() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "peftlab", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "peftlab.cli.run" in imported
    assert "Usage: peftlab" in done.stdout
    assert not HEAVY & imported


def test_an_interrupted_run_says_that_results_are_kept(
    peftlab: Peftlab, workspace: Path, study_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("peftlab.runner.execute.execute", interrupted)
    answer = peftlab("run", study_file, "--workspace", workspace, "--seeds", "9")
    assert answer.status == 130
    assert answer.err.splitlines()[-1] == "peftlab: stopped; what was measured is kept"


# Mistakes. In the arguments, {study} is the study file, {w} the finished workspace, {single} and
# {pair} are trials in it, {here} is an empty folder, {model} the tiny checkpoint.

RUN = "run {study} --workspace {w}"
PREDICT = "predict {single} --workspace {w}"
MISTAKES = {
    "unknown command": ("trian", "No such command 'trian'"),
    "unknown list": ("list teams", "No such command 'teams'"),
    "unknown option": ("run {study} --epochs 3", "No such option: --epochs"),
    "option without a value": ("run {study} --seeds", "'--seeds' requires an argument"),
    "missing argument": ("run", "Missing argument 'study'"),
    "missing option": ("params --model minilm", "Missing option '--method'"),
    "unknown study": ("run quickstrat --workspace {w}", "did you mean 'quickstart'?"),
    "unknown study to lint": ("lint quickstrat", "did you mean 'quickstart'?"),
    "unknown study to report": ("report nosuch --workspace {w}", "has not been run here"),
    "unknown study of status": ("status nosuch --workspace {w}", "allowed: small-study"),
    "unknown study of trials": ("list trials --study x --workspace {w}", "has not been run here"),
    "missing study file": ("run {here}/none.yaml --workspace {w}", "cannot read the study file"),
    "study key": (RUN + " --set modle=x", "unknown key 'modle', did you mean 'model'?"),
    "setting without a value": (RUN + " --set seeds", "'seeds' is not a setting"),
    "training setting": (RUN + " --set training.lr=1", "unknown training setting 'lr'"),
    "unknown task": (RUN + " --tasks demo-sentimnet", "did you mean 'demo-sentiment'?"),
    "unknown arm": (RUN + " --arms lora-r3", "unknown arm 'lora-r3'"),
    "unknown method": (RUN + " --set arms.full.method=lra", "unknown method 'lra', did you mean"),
    "unknown method to count": ("params --model minilm --method lra", "did you mean 'lora'?"),
    "LoRA field": (RUN + " --set arms.lora.rr=8", "arms.lora: unknown setting of the method lora"),
    "LoRA value": (RUN + " --set arms.lora.bias=some", "bias = 'some' is not valid"),
    "engine": (RUN + " --engine pakced", "unknown engine 'pakced', did you mean 'packed'?"),
    "executor": (RUN + " --executor moon", "--executor: unknown executor 'moon' (allowed: inline"),
    "device that computes nothing": (RUN + " --device meta", "no device 'meta' here (allowed:"),
    "more seeds than anyone runs": (RUN + " --seeds 0-99999999", "'0-99999999' is too many seeds"),
    "a seed of many digits": (RUN + " --seeds 99999999999999999999", "is not a seed"),
    "bytes that are no text": (RUN + " --arms \udcff", "\\udcff: this argument is not text"),
    "device": (RUN + " --device toaster", "--device: no device 'toaster' here"),
    "seed in words": (RUN + " --seeds one", "--seeds: 'one' is not a seed (allowed: 42 or"),
    "seed twice": (RUN + " --seeds 1,1", "seeds: 1 appears twice"),
    "seeds backwards": (RUN + " --seeds 5-1", "--seeds: '5-1' is not a seed"),
    "no seeds": (RUN + " --seeds ,", "--seeds: no seed is given"),
    "data that are not there": (RUN + " --data {here}/none", "not a folder"),
    "data without the task": (RUN + " --data {here}", "has no task 'demo-sentiment'"),
    "checkpoint path": (RUN + " --model {here}/none", "small-study: model: no checkpoint"),
    "folder without weights": (RUN + " --model {here}", "safetensors is missing"),
    "checkpoint name to count": ("params --model ../x --method full", "no checkpoint '../x'"),
    "no workspace": ("status --workspace {here}", "no results here yet"),
    "no workspace to list": ("list trials --workspace {here}", "no results here yet"),
    "no workspace to report": ("report small-study --workspace {here}", "no results here yet"),
    "workspace that is a file": ("run {study} --workspace {study}", "cannot use the workspace"),
    "report that cannot be written": (
        "report small-study --workspace {w} --output {study}",
        "cannot write the report",
    ),
    "unknown trial": ("predict zz --text a --workspace {w}", "no trial has an id that begins"),
    "empty trial": ("predict {empty} --text a --workspace {w}", "a trial's id is needed"),
    "neither text nor file": (PREDICT, "give --text or --file"),
    "both text and file": (PREDICT + " --text a --file {study}", "give --text or --file, not both"),
    "too many texts": (PREDICT + " --text a --text b", "has 1 text, this one has 2"),
    "too few texts": ("predict {pair} --text a --workspace {w}", "has 2 texts, this one has 1"),
    "text for no trial": ("predict --text a --workspace {w}", "--text needs a TRIAL"),
    "columns of a text": (PREDICT + " --text a --columns b", "--text has no columns"),
    "file that is not there": (PREDICT + " --file {here}/none.csv", "cannot read the file"),
    "file that is a folder": (PREDICT + " --file {here}", "here: not a file but a folder"),
    "file of an unknown format": (PREDICT + " --file {study}", "'.yaml' is not a known format"),
    "output of an unknown format": (PREDICT + " --text a --output x.xls", "'.xls' is not a known"),
    "no trial for a file": (
        "predict --file {latin} --workspace {w}", "a .txt has no column 'trial'",
    ),
    "trials given twice": (
        PREDICT + " --file {latin} --trial-column t",
        "--trial-column: both trials and a column that names",
    ),
    "file that is not text": (PREDICT + " --file {latin}", "not UTF-8 text"),
    "file without rows": (PREDICT + " --file {blank}", "the file is empty"),
    "output that cannot be written": (
        PREDICT + " --text a --output {here}/no/folder.tsv",
        "cannot write the file: No such file or directory",
    ),
    "device to predict": (PREDICT + " --text a --device toaster", "no device 'toaster' here"),
}  # fmt: skip


@pytest.fixture
def places(
    finished_workspace: Path, study_file: Path, tmp_path: Path
) -> Iterator[dict[str, object]]:
    """Yield the values of the braces in MISTAKES; the workspace must be unchanged afterwards."""
    with Workspace.open(finished_workspace, create=False) as opened:
        records = opened.trials()
        trials = {record.trial.task: record.trial.id for record in records}
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / "latin.txt").write_bytes(b"caf\x81\xe9\n")
    (tmp_path / "blank.txt").write_bytes(b"")
    yield {
        "study": study_file,
        "w": finished_workspace,
        "single": trials["demo-sentiment"],
        "pair": trials["demo-paraphrase"],
        "here": here,
        "latin": tmp_path / "latin.txt",
        "blank": tmp_path / "blank.txt",
        "empty": "",
    }
    with Workspace.open(finished_workspace, create=False) as opened:
        assert opened.trials() == records
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_on_stderr_and_leaves_the_results_alone(
    mistake: str, peftlab: Peftlab, places: dict[str, object]
) -> None:
    line, words = MISTAKES[mistake]
    answer = peftlab(*(word.format(**places) for word in line.split()))
    assert answer.status == 2
    assert answer.out == ""
    assert answer.err.startswith("peftlab: ")
    assert answer.err.count("\n") == 1
    assert answer.err.endswith("\n")
    assert words in answer.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("run {study} --workspace {w} --model nobody/no-such-model", "nobody/no-such-model"),
        ("run glue-peft --workspace {w} --model minilm --tasks cola", "nyu-mll/glue"),
        ("params --model nobody/no-such-model --method full", "nobody/no-such-model"),
    ],
)
def test_without_the_hub_the_mistake_is_one_line_after_one_remark(
    arguments: str, words: str, peftlab: Peftlab, places: dict[str, object]
) -> None:
    answer = peftlab(*(word.format(**places) for word in arguments.split()))
    *remarks, mistake = answer.err.splitlines()
    assert answer.status == 2
    assert answer.out == ""
    assert all("the Hub is not reachable" in remark for remark in remarks)
    assert len(remarks) <= 1
    assert mistake.startswith("peftlab: ")
    assert words in mistake


BAD_GLUE = {
    "missing column": ("sst2", "SST-2", b"sentnce\tlabel\na film\t1\n", "no column 'sentence'"),
    "short row": ("sst2", "SST-2", b"sentence\tlabel\nfine\t1\na film\n", "train.tsv:3: 1 field"),
    "unknown label": ("cola", "CoLA", b"gj04\t2\t\tthe film ran.\n", "unknown label '2'"),
    "bytes that are not UTF-8": ("sst2", "SST-2", b"sentence\tlabel\ncaf\xe9\t1\n", "(0xe9)"),
    "no rows": ("sst2", "SST-2", b"sentence\tlabel\n", "the file has no rows"),
    "no file": ("mrpc", "MRPC", None, "train.tsv is missing"),
}


@pytest.mark.parametrize("mistake", BAD_GLUE)
def test_a_bad_glue_file_is_named_in_one_line(
    mistake: str,
    peftlab: Peftlab,
    places: dict[str, object],
    tiny_checkpoint: Path,
    tmp_path: Path,
) -> None:
    task, directory, content, words = BAD_GLUE[mistake]
    if content is not None:
        (tmp_path / directory).mkdir()
        for split in ("train", "dev"):
            (tmp_path / directory / f"{split}.tsv").write_bytes(content)
    options = ("--data", tmp_path, "--model", tiny_checkpoint, "--tasks", task)
    answer = peftlab("run", "glue-peft", *options, "--workspace", places["w"])
    assert answer.status == 2
    assert answer.out == ""
    assert answer.err.count("\n") == 1
    assert words in answer.err
    assert str(tmp_path / directory / "train.tsv") in answer.err


def test_code_beside_checkpoints_is_trusted_by_the_flag_alone(
    peftlab: Peftlab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUST, "")
    assert peftlab("list", "tasks").status == 0
    assert not trusts_remote_code()
    assert peftlab("--trust-remote-code", "list", "tasks").status == 0
    assert trusts_remote_code()
