"""Tables that are to be predicted: read, and written in every format."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from random import Random

from peftlab.data.row_files import READABLE, WRITABLE, Row, read_rows, row_writer
from tests.fuzz.kinds.base import Kind
from tests.fuzz.mutate import mutate_bytes

ROWS: list[Row] = [
    {"id": "1", "text": 'a "fine" film, and more'},
    {"id": "2", "text": "naïve — et 猫"},
    {"id": "3", "text": ""},
]


class RowFiles(Kind):
    """The file is damaged."""

    name = "rows"
    share = 30

    @cached_property
    def contents(self) -> dict[str, bytes]:
        """A good file of each format."""
        found = {".txt": b"a fine film\nso-so\n"}
        for ending in WRITABLE:
            path = self.world.root / f"rows{ending}"
            with row_writer(path, {"id": str, "text": str}) as write:
                write(ROWS)
            found[ending] = path.read_bytes()
        return found

    def attempt(self, rng: Random, folder: Path) -> Callable[[], object]:
        ending, written = rng.choice(READABLE), rng.choice(WRITABLE)
        path = folder / f"in{ending}"
        good = self.contents[ending]
        path.write_bytes(good if rng.random() < 0.1 else mutate_bytes(good, rng))

        def convert() -> None:
            rows = [row for part in read_rows(path, names=["text"], size=2) for row in part]
            columns = {name: type(value) for name, value in rows[0].items()}
            with row_writer(folder / f"out{written}", columns, like=path) as write:
                write(rows)
            json.dumps(rows, default=str)

        return convert


KIND = RowFiles
