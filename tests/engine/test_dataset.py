"""A split is encoded once for its content, whichever split it is."""

from __future__ import annotations

from pathlib import Path

from peftlab.data.encode import Encoded
from peftlab.data.glue_folder import GlueFolder
from peftlab.engine.dataset import encode_split
from peftlab.models.checkpoints import load_tokenizer
from peftlab.models.tokenizer import HubTokenizer
from peftlab.tasks.glue import SST2

HEADERS = {"train": "sentence\tlabel", "dev": "sentence\tlabel", "test": "index\tsentence"}


def write(folder: Path, split: str, *rows: str) -> None:
    path = folder / "SST-2" / f"{split}.tsv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in (HEADERS[split], *rows)))


def encoded(folder: Path, split: str, tokenizer: HubTokenizer, cache: Path) -> Encoded:
    source = GlueFolder(folder)
    return encode_split(source, SST2, split, None, tokenizer, max_length=32, cache=cache)


def test_a_test_file_that_changes_is_encoded_again(tmp_path: Path, tiny_checkpoint: Path) -> None:
    tokenizer, cache = load_tokenizer(str(tiny_checkpoint)), tmp_path / "cache"
    write(tmp_path, "train", "good\t1")
    write(tmp_path, "dev", "bad\t0")
    write(tmp_path, "test", "0\tabc")
    first = encoded(tmp_path, "test", tokenizer, cache)
    assert first.lengths.tolist() == [5]
    write(tmp_path, "test", "0\tabcdef", "1\tab")
    assert encoded(tmp_path, "test", tokenizer, cache).lengths.tolist() == [8, 4]
    write(tmp_path, "test", "0\tabc")
    assert encoded(tmp_path, "test", tokenizer, cache).ids.tolist() == first.ids.tolist()
    assert len(list((cache / "encoded").iterdir())) == 2


def test_a_test_file_is_enough_to_encode_it(tmp_path: Path, tiny_checkpoint: Path) -> None:
    write(tmp_path, "test", "0\tabc")
    tokenizer = load_tokenizer(str(tiny_checkpoint))
    assert len(encoded(tmp_path, "test", tokenizer, tmp_path / "cache")) == 1
