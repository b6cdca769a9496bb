"""The good input from which bad input is made, and the folder that is watched."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from peftlab.store.ledger import ledger_file
from tests.conftest import write_tiny_checkpoint
from tests.fuzz.judge import command
from tests.fuzz.payloads import SENTINEL, plant_module

STUDY: dict[str, Any] = {
    "name": "fuzzed",
    "description": "Two methods on a demo task",
    "data": "demo",
    "tasks": ["demo-sentiment"],
    "seeds": [1],
    "fixed_seeds": {"order": 5},
    "engine": "packed",
    "max_length": 32,
    "max_train_samples": 16,
    "max_eval_samples": 12,
    "cache_frozen": False,
    "checkpoint_every": "200 steps",
    "training": {
        "num_train_epochs": 1,
        "per_device_train_batch_size": 8,
        "learning_rate": {"demo-sentiment": 1e-2},
        "warmup_steps": 0.06,
    },
    "arms": {
        "full": {"method": "full", "training": {"learning_rate": 5e-3}, "note": "all of it"},
        "lora": {"method": "lora", "lora_dropout": 0.01, "sweep": {"r": [2, 4]}},
    },
    "claims": [
        {"say": "LoRA beats full fine-tuning", "better": "lora-r2", "than": "full"},
        {"say": "The rank hardly matters", "equivalent": ["lora-r2", "lora-r4"], "margin": 1.0},
    ],
    "report": [
        {"section": {"title": "Which method", "text": "Side by side."}},
        {"scores": {}},
        {"loss-curves": {"arms": ["full"]}},
        {"hyperparameters": {}},
        {"method-config": {"arms": ["lora"]}},
        {"parameters": {"reported": {"lora-r2": {"trainable": 5, "percent": 0.27}}}},
        {"sweep": {"of": "r", "arms": "lora"}},
    ],
}


@dataclass(frozen=True)
class World:
    """Good input below `root`. Commands run in `work`, deep enough for `..` to stay in `root`."""

    root: Path

    @cached_property
    def work(self) -> Path:
        """The folder in which commands run, with a module that must never be imported."""
        folder = self.root.joinpath(*"abcdefgh")
        folder.mkdir(parents=True, exist_ok=True)
        plant_module(folder, self.sentinel)
        return folder

    @property
    def sentinel(self) -> Path:
        """The file that code from data would make."""
        return self.root / SENTINEL

    @cached_property
    def checkpoint(self) -> Path:
        """A tiny BERT with its tokenizer."""
        folder = self.root / "tiny-bert"
        write_tiny_checkpoint(folder)
        return folder

    @cached_property
    def study(self) -> dict[str, Any]:
        """A study on the checkpoint that has every key."""
        return {**STUDY, "model": str(self.checkpoint)}

    @cached_property
    def study_file(self) -> Path:
        """The file of the study."""
        from tests.fuzz.trees import json_bytes

        path = self.root / "fuzzed.yaml"
        path.write_bytes(json_bytes(self.study))
        return path

    @cached_property
    def workspace(self) -> Path:
        """A workspace in which the study is done."""
        folder = self.root / "finished"
        answer = command(
            ["run", str(self.study_file), "--workspace", str(folder), "--device", "cpu"]
        )
        assert not answer, answer
        return folder

    @contextmanager
    def active(self) -> Iterator[World]:
        """Make `work` the process's folder, from which Python imports as it does at a prompt."""
        homes = {name: os.environ.get(name) for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME")}
        here = Path.cwd()
        os.environ["XDG_CACHE_HOME"] = str(self.root / "cache")
        os.environ["XDG_STATE_HOME"] = str(self.root / "state")
        ledger = ledger_file()  # there before, so that nobody is blamed for having made it
        ledger.parent.mkdir(parents=True, exist_ok=True)
        ledger.touch()
        os.chdir(self.work)
        sys.path.insert(0, str(self.work))
        try:
            yield self
        finally:
            sys.path.remove(str(self.work))
            os.chdir(here)
            for name, value in homes.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value
