"""Changes to a study on the command line: `--set KEY=VALUE` and similar options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.fuzz.judge import command
from tests.fuzz.kinds.base import Kind
from tests.fuzz.mutate import mutate_text
from tests.fuzz.payloads import yaml_specials
from tests.fuzz.trees import NAMES, nasty, yaml_text

KEYS = (
    "name", "model", "data", "tasks", "seeds", "fixed_seeds", "fixed_seeds.init", "engine",
    "max_length", "max_train_samples", "cache_frozen", "checkpoint_every", "group",
    "training", "training.learning_rate", "training.learning_rate.demo-sentiment",
    "training.max_steps", "training.lr_scheduler_type", "arms", "arms.full", "arms.full.method",
    "arms.lora.r",
    "arms.lora.sweep", "arms.lora.sweep.r", "arms.lora.target_modules", "arms.lora.bias",
    "arms.lora.init_lora_weights", "arms.lora.layers_pattern", "arms.lora.rank_pattern",
    "arms.lora.eva_config", "arms.lora.loftq_config", "arms.lora.layer_replication", "arms.new",
    "claims", "report", "only_arms", "report.0", "..", "a.b.c.d", "training.", ".training",
)  # fmt: skip
OPTIONS = ("--seeds", "--tasks", "--arms", "--engine", "--model", "--data", "--executor")


class Settings(Kind):
    """Wrong keys and values are set in a good study."""

    name = "setting"
    share = 170

    def attempt(self, rng: Random, folder: Path) -> Callable[[], object]:
        specials = yaml_specials(self.world.sentinel)
        given = []
        for _ in range(rng.choice((1, 1, 2))):
            text = yaml_text(nasty(rng), rng, specials) if rng.random() < 0.7 else ""
            setting = f"{rng.choice(KEYS)}={text or rng.choice(specials)}"
            if rng.random() < 0.3:
                setting = mutate_text(setting, rng).decode("utf-8", "surrogateescape")
            given += ["--set", setting.replace("\0", "")]
        path = str(self.world.study_file)
        if rng.random() < 0.12:
            option = rng.choice(OPTIONS)
            value = rng.choice((*NAMES, "0-99999999999", "1,2,3", "9" * 5000, "1-2-3"))
            value = value.replace("\0", "")  # which no argument of a process holds
            workspace = str(folder / "workspace")
            return lambda: command(
                ["run", path, "--dry-run", "--workspace", workspace, option, value]
            )
        return lambda: command(["lint", path, *given])


KIND = Settings
