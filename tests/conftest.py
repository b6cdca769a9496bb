"""The shared fixtures of tests: tiny models, real weights, and real files if they are there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["TRITON_INTERPRET"] = "1"  # before torch imports Triton
# Which kernel is faster is chance on a busy machine, and another one computes other bits.
os.environ.setdefault("PEFTLAB_PRODUCTS", "own")
# Tests have caches of their own, but not for compiled kernels: that would be minutes for each.
os.environ.setdefault(
    "NUMBA_CACHE_DIR",
    str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "peftlab" / "kernels"),
)
if sys.dont_write_bytecode:
    # Each process would compile all that it imports: 17 seconds of a processor. The bytecode is
    # kept beside the kernels, since whoever forbids it wants none beside the sources.
    sys.pycache_prefix = str(Path(os.environ["NUMBA_CACHE_DIR"]).with_name("bytecode"))
    sys.dont_write_bytecode = False
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import pytest

from peftlab.runner import bars
from tests import order
from tests.drawings import draw_once
from tests.warm.process import SUBPROCESS, spawn

# Looks are remembered for the user as well: never for whoever runs the tests.
STATE = TemporaryDirectory(prefix="peftlab-state-")
NUMBERS = count()
os.environ["XDG_STATE_HOME"] = STATE.name

GLUE = Path(__file__).resolve().parents[2] / "shared" / "glue"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Test the longest files first."""
    items.sort(key=lambda item: order.place(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give a process a whole file, or all tests that use the Ray cluster."""
    from xdist.scheduler import LoadFileScheduling

    if config.getvalue("dist") != "loadfile":
        return None

    class Grouped(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return order.group(nodeid)

    return Grouped(config, log)


@pytest.fixture(scope="session", autouse=True)
def no_work_twice() -> Iterator[None]:
    """Fork processes from one that has imported everything, and draw each figure only once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("peftlab.runner.worker_process.subprocess", SUBPROCESS)
        patch.setattr("multiprocessing.util.spawnv_passfds", spawn)
        patch.setattr("peftlab.report.pages.files.draw", draw_once)
        yield


@pytest.fixture(autouse=True)
def nothing_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make no stage last long enough to be shown, even on a busy machine."""
    monkeypatch.setattr(bars, "AFTER_SECONDS", 3600.0)


@pytest.fixture(autouse=True)
def no_earlier_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the looks of other tests from this one."""
    monkeypatch.setenv("XDG_STATE_HOME", f"{STATE.name}/{next(NUMBERS)}")


@pytest.fixture(scope="session")
def glue_folder() -> Path:
    """The folder of real GLUE files beside the checkout; skipped where it is absent."""
    if not GLUE.is_dir():
        pytest.skip("the real GLUE files are not beside this checkout")
    return GLUE


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BERT of 2 layers, 16 wide, and a tokenizer that spells words by letters."""
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-bert"
    write_tiny_checkpoint(folder)
    return folder


def write_tiny_checkpoint(folder: Path, *, num_layers: int = 2) -> None:
    """Write the files of `tiny_checkpoint`, or of one with another number of layers."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz.,!?'-0123456789"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    vocabulary += [*(f"##{letter}" for letter in letters), "the", "was", "not", "a", "to"]
    vocabulary = list(dict.fromkeys(vocabulary))
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=num_layers,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
        initializer_range=0.3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)


STUDY = """
name: small-study
description: Three methods on two demo tasks
model: {model}
data: demo
tasks: [demo-sentiment, demo-paraphrase]
seeds: [1, 2]
max_train_samples: 32
max_eval_samples: 24
training:
  num_train_epochs: 2
  per_device_train_batch_size: 8
  learning_rate: {{demo-sentiment: 1e-2, demo-paraphrase: 2e-2}}
  warmup_steps: 0.06
arms:
  full: {{method: full, training: {{learning_rate: 5e-3}}}}
  bitfit: {{method: bitfit}}
  lora: {{method: lora, lora_alpha: 4, lora_dropout: 0.01, sweep: {{r: [2, 4]}}}}
claims:
  - say: LoRA beats full fine-tuning
    better: lora-r2
    than: full
  - say: The rank hardly matters
    equivalent: [lora-r2, lora-r4]
    margin: 1.0
report:
  - section: {{title: Which method, text: Three of them side by side.}}
  - scores: {{}}
  - loss-curves: {{arms: [full, bitfit, lora-r2]}}
  - hyperparameters: {{}}
  - method-config: {{arms: [lora]}}
  - parameters:
      reported:
        lora-r2: {{trainable: 296450, total_peft_counting: 109780228, percent: 0.2700395193203643}}
  - sweep: {{of: r, arms: lora}}
"""


@pytest.fixture(scope="session")
def study_file(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of every kind of report part on the tiny checkpoint; it is named small-study."""
    path = tmp_path_factory.mktemp("studies") / "small-study.yaml"
    path.write_text(STUDY.format(model=tiny_checkpoint))
    return path


@pytest.fixture(scope="session")
def finished_workspace(study_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which small-study is done, only for reading: copy it to change it."""
    from peftlab.cli.app import main

    folder = tmp_path_factory.mktemp("workspaces") / "finished"
    assert main(["run", str(study_file), "--workspace", str(folder), "--device", "cpu"]) == 0
    return folder
