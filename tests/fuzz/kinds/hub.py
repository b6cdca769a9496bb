"""Folders in the Hub's layout: a README with a YAML header and Parquet files."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from peftlab.data.source import open_source
from peftlab.tasks.glue import SST2
from tests.fuzz.kinds.base import Kind
from tests.fuzz.mutate import mutate_bytes
from tests.fuzz.payloads import plant_pickles, yaml_specials
from tests.fuzz.trees import mutate_tree, yaml_text
from tests.fuzz.world import World

HEADER: dict[str, Any] = {
    "configs": [
        {
            "config_name": "sst2",
            "data_files": [
                {"split": "train", "path": "sst2/train-*"},
                {"split": "validation", "path": "sst2/validation-*"},
            ],
        }
    ],
    "dataset_info": [
        {
            "config_name": "sst2",
            "features": [
                {"name": "sentence", "dtype": "string"},
                {
                    "name": "label",
                    "dtype": {"class_label": {"names": {"0": "negative", "1": "positive"}}},
                },
            ],
        }
    ],
}


class HubFolders(Kind):
    """The header or one of the Parquet files is damaged."""

    name = "hub"
    share = 5

    def __init__(self, world: World) -> None:
        super().__init__(world)
        import datasets

        self.config = datasets.config

    @cached_property
    def table(self) -> bytes:
        """Return a Parquet file of three rows."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        sink = pa.BufferOutputStream()
        columns = {"sentence": ["a fine film", "a dull one", "so-so"], "label": [1, 0, 1]}
        pq.write_table(pa.table(columns), sink)
        return bytes(sink.getvalue())

    def attempt(self, rng: Random, folder: Path) -> Callable[[], object]:
        plant_pickles(folder, self.world.sentinel)
        (folder / "sst2").mkdir()
        bad = rng.choice(("header", "header", "train", "validation", ""))
        for split in ("train", "validation"):
            data = mutate_bytes(self.table, rng) if split == bad else self.table
            (folder / "sst2" / f"{split}-00000-of-00001.parquet").write_bytes(data)
        text = yaml_text(HEADER, rng, ())
        if bad == "header":
            text = yaml_text(mutate_tree(HEADER, rng), rng, yaml_specials(self.world.sentinel))
        (folder / "README.md").write_bytes(f"---\n{text}\n---\n".encode("utf-8", "surrogatepass"))

        def read() -> None:
            self.config.HF_DATASETS_CACHE = folder / "cache"
            source = open_source(f"hub:{folder}")
            source.examples(SST2, "train")
            source.ref(SST2)

        return read


KIND = HubFolders
