"""Study files, read and expanded by `lint` and by a dry run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.fuzz.judge import command
from tests.fuzz.kinds.base import Kind
from tests.fuzz.mutate import mutate_text
from tests.fuzz.payloads import yaml_specials
from tests.fuzz.trees import mutate_tree, yaml_text


class Studies(Kind):
    """The file is damaged YAML, or YAML of a changed study."""

    name = "study"
    share = 450

    def attempt(self, rng: Random, folder: Path) -> Callable[[], object]:
        specials = yaml_specials(self.world.sentinel)
        value, way = self.world.study, rng.random()
        if way < 0.75:
            value = mutate_tree(value, rng)
        data = yaml_text(value, rng, specials).encode("utf-8", "surrogatepass")
        if way > 0.7:
            data = mutate_text(data.decode("utf-8", "replace"), rng)
        path = folder / "study.yaml"
        path.write_bytes(data)
        if rng.random() < 0.03:
            workspace = str(folder / "workspace")
            return lambda: command(["run", str(path), "--dry-run", "--workspace", workspace])
        json = ["--json"] * (rng.random() < 0.2)
        return lambda: command(["lint", str(path), *json])


KIND = Studies
