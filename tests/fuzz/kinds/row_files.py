"""Tables for prediction, which are read and written in every format."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import cached_property
from io import BytesIO
from pathlib import Path
from random import Random

from peftlab.data.file_bytes import READABLE, TEXTS, WRITABLE
from peftlab.data.read_options import ReadOptions
from peftlab.data.row_files import Row, read_rows, row_writer
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
        """Return a good file of each format."""
        found = {".txt": b"a fine film\nso-so\n"}
        for ending in WRITABLE:
            path = self.world.root / f"rows{ending}"
            with row_writer(path, {"id": str, "text": str}) as write:
                write(ROWS)
            found[ending] = path.read_bytes()
        found[".json"] = json.dumps(ROWS, indent=1, ensure_ascii=False).encode()
        found[".xlsx"] = workbook_bytes(ROWS)
        return found

    def attempt(self, rng: Random, folder: Path) -> Callable[[], object]:
        ending, written = rng.choice(READABLE), rng.choice(WRITABLE)
        good = self.contents[ending]
        if ending in TEXTS and rng.random() < 0.4:
            good = _in_other_words(good, ending, rng)
        damaged = good if rng.random() < 0.1 else mutate_bytes(good, rng)
        if ending in TEXTS and rng.random() < 0.3:
            ending += ".gz"
            damaged = gzip.compress(damaged, mtime=0)
            damaged = mutate_bytes(damaged, rng) if rng.random() < 0.3 else damaged
        path = folder / f"in{ending}"
        path.write_bytes(damaged)
        said = ReadOptions(
            sep=rng.choice((None, None, ";", ",", "\t", "a")),
            encoding=rng.choice((None, None, None, "cp1252", "utf-16-le", "gbk", "utf-8")),
        )

        def convert() -> None:
            rows = [
                row
                for part in read_rows(path, names=["text"], size=2, options=said)
                for row in part
            ]
            columns = {name: type(value) for name, value in rows[0].items()}
            with row_writer(folder / f"out{written}", columns, like=path) as write:
                write(rows)
            json.dumps(rows, default=str)

        return convert


def workbook_bytes(rows: list[Row]) -> bytes:
    """Return the rows as a workbook of one sheet."""
    import openpyxl

    book = openpyxl.Workbook()
    names = [*rows[0]]
    book.active.append(names)
    for row in rows:
        cells = (row[name] for name in names)
        book.active.append([str(cell) if isinstance(cell, list) else cell for cell in cells])
    stream = BytesIO()
    book.save(stream)
    return stream.getvalue()


def _in_other_words(good: bytes, ending: str, rng: Random) -> bytes:
    """Return the text in another encoding, and with another separator."""
    text = good.decode()
    if ending == ".csv":
        sep = rng.choice((";", "\t", "|", ","))
        text = rng.choice(("", f"sep={sep}\n")) + text.replace(",", sep)
    encoding = rng.choice(("utf-16", "utf-16-le", "cp1252", "utf-8-sig", "utf-32", "gbk"))
    return text.encode(encoding, "replace")


KIND = RowFiles
