"""GLUE folders: their tab-separated files, read and encoded."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from random import Random

from peftlab.data.encode import encode
from peftlab.data.source import open_source
from peftlab.models.checkpoints import load_tokenizer
from peftlab.models.tokenizer import HubTokenizer
from peftlab.tasks.glue import COLA, MRPC, SST2
from tests.fuzz.kinds.base import Kind
from tests.fuzz.mutate import mutate_text

THREE = (SST2, COLA, MRPC)
FILES = {
    SST2.name: "sentence\tlabel\na fine film \t1\n\"dull\" one\t0\nnaïve — et 猫\t1\nso-so\t0\n",
    COLA.name: "gj04\t1\t\tCats sleep.\ngj04\t0\t*\tSleep cats the.\nc\t1\t\t\"Yes\", she said.\n",
    MRPC.name: "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
    "1\t11\t12\tIt rained .\tRain fell .\n0\t13\t14\tOne .\tTwo .\n",
}  # fmt: skip


class Tables(Kind):
    """One of the two files of a task is damaged."""

    name = "table"
    share = 230

    @cached_property
    def tokenizer(self) -> HubTokenizer:
        """Return the tokenizer of the tiny checkpoint."""
        return load_tokenizer(str(self.world.checkpoint))

    def attempt(self, rng: Random, folder: Path) -> Callable[[], object]:
        task, tokenizer = rng.choice(THREE), self.tokenizer
        assert task.folder is not None
        place = folder / task.folder.directory
        place.mkdir()
        bad = rng.choice(("train", "dev"))
        for split in ("train", "dev"):
            text = FILES[task.name]
            data = mutate_text(text, rng) if split == bad else text.encode()
            (place / f"{split}.tsv").write_bytes(data)

        def read() -> None:
            source = open_source(str(folder))
            assert source.ref(task).digest
            for split in ("train", "dev"):
                examples = source.examples(task, split)
                encoded = encode(examples, tokenizer, max_length=16)
                assert len(encoded) == len(examples) > 0
                assert encoded.lengths.max() <= 16

        return read


KIND = Tables
