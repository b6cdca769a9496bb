"""The commands that are killed, and the stages over which the kills are spread."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

STUDY: dict[str, Any] = {
    "name": "killed",
    "data": "demo",
    "tasks": ["demo-paraphrase"],
    "seeds": [1],
    "max_train_samples": 24,
    "max_eval_samples": 12,
    "training": {
        "num_train_epochs": 2,
        "learning_rate": 1e-3,
        "per_device_train_batch_size": 8,
        "per_device_eval_batch_size": 4,
    },
    "checkpoint_every": "2 steps",
    "arms": {
        "full": {"method": "full", "training": {"weight_decay": 0.1}},
        "lora": {"method": "lora", "r": 2, "lora_dropout": 0.1},
    },
    "report": [{"parameters": {}}],
}
FIGURES = "report=[{scores: {}}, {loss-curves: {}}, {method-config: {}}]"

SEARCH: dict[str, Any] = {
    **STUDY,
    "max_train_samples": 16,
    "tune": {
        "budget": {"trials": 6},
        "pruning": "halving",
        "seeds": [1],
        "space": {
            "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
            "num_train_epochs": 4,
        },
    },
}
POOL = ("--executor", "pool", "--workers", "2")
RUN = ("run", "killed.yaml", "--workspace", "workspace", "--threads", "1")
TUNE = ("tune", "search.yaml", "--arms", "lora", "--workspace", "workspace", "--threads", "1")
REPORT = ("report", "killed", "--workspace", "workspace", "--json")
EXPORT = ("export", "--workspace", "workspace", "--output", "exported", "--json")


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command of `peftlab`, in a new folder or in the one that `after` has left.

    `of_arm` names the arm whose trial is the command's argument. `is_like` is the command that must
    leave the same content. Without `draws`, figures are empty, since drawing them takes seconds.
    """

    arguments: tuple[str, ...]
    after: str = ""
    of_arm: str = ""
    is_like: str = ""
    draws: bool = False

    @property
    def of_pool(self) -> bool:
        """Whether it has workers."""
        return "pool" in self.arguments

    @property
    def is_timed(self) -> bool:
        """Whether the report that it writes shows how long it took."""
        return self.after == ""


COMMANDS = {
    "packed": Command(arguments=(*RUN, "--set", "selection={}")),
    "cached": Command(arguments=(*RUN, "--set", "cache_frozen=true")),
    "padded": Command(arguments=(*RUN, "--engine", "padded")),
    "trainer": Command(arguments=(*RUN, "--engine", "trainer", "--set", "selection={}")),
    "packed, pool": Command(arguments=(*RUN, "--set", "selection={}", *POOL), is_like="packed"),
    "with figures": Command(
        arguments=(*RUN, "--set", "selection={}", "--set", FIGURES), draws=True
    ),
    "report": Command(arguments=(*REPORT, "--output", "page"), after="with figures", draws=True),
    "report in its place": Command(arguments=REPORT, after="with figures", draws=True),
    "a smaller report": Command(
        arguments=(*RUN, "--set", "selection={}"), after="with figures", draws=True
    ),
    "export": Command(arguments=EXPORT, after="packed", of_arm="lora"),
    "export of a whole model": Command(arguments=EXPORT, after="packed", of_arm="full"),
    "export --merge": Command(arguments=(*EXPORT, "--merge"), after="packed", of_arm="lora"),
    "halving": Command(arguments=TUNE),
    "hyperband": Command(arguments=(*TUNE, "--set", "tune.pruning=hyperband")),
    "halving, pool": Command(arguments=(*TUNE, *POOL), is_like="halving"),
}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One stage with one executor: the commands of which one is drawn, and their moments.

    `share` is its number of kills among 200.
    """

    share: int
    commands: tuple[str, ...]
    moments: str

    def holds(self, moment: str) -> bool:
        """Return whether the moment, named with or without its role, belongs to the stage."""
        return re.match(rf"(\w+: )?({self.moments})", moment) is not None


RUNS = ("packed", "cached", "padded", "trainer")
ENCODING = r"encode\b|_write\b|HubTokenizer|FusedModel\.states|.* in cache$"
TRAINING = r"Steps\.|_OrderedTrainer\.training_step|Workspace\.|statement|WorkerProcess|_Pool"
EVALUATION = (
    r"record_evaluation|predict_split|score\b|stop_if|_Recorder|_OrderedTrainer\.pred|Reported"
)
WRITING = r"write_predictions|_save\b|Checkpoints|sync|.* in artifacts$|.* in tmp$"
REPORTING = r"draw|render|csv|write_whole|.* in (reports|page)$"
EXPORTING = r"merged_alike|save_tokenizer|model_card|.* in (exported|what is aside|the top|tmp)$"
TUNING = r"Sampler|_Feeder|statement|Workspace\.|Checkpoints"
SCENES = {
    "encoding-inline": Scene(share=18, commands=RUNS, moments=ENCODING),
    "encoding-pool": Scene(share=8, commands=("packed, pool",), moments=ENCODING),
    "training-inline": Scene(share=24, commands=RUNS, moments=TRAINING),
    "training-pool": Scene(share=10, commands=("packed, pool",), moments=TRAINING),
    "evaluation-inline": Scene(share=18, commands=RUNS, moments=EVALUATION),
    "evaluation-pool": Scene(share=8, commands=("packed, pool",), moments=EVALUATION),
    "writing-inline": Scene(share=24, commands=RUNS, moments=WRITING),
    "writing-pool": Scene(share=8, commands=("packed, pool",), moments=WRITING),
    "report": Scene(
        share=22, commands=("report", "report in its place", "a smaller report"), moments=REPORTING
    ),
    "export": Scene(share=12, commands=("export", "export of a whole model"), moments=EXPORTING),
    "export-merge": Scene(share=12, commands=("export --merge",), moments=EXPORTING),
    "tune-inline": Scene(share=28, commands=("halving", "hyperband"), moments=TUNING),
    "tune-pool": Scene(share=8, commands=("halving, pool",), moments=TUNING),
}


def shares(count: int, names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Return the number of kills of each stage among `count`, at least one."""
    whole = sum(SCENES[name].share for name in names)
    for name in names:
        yield name, max(1, round(count * SCENES[name].share / whole))
