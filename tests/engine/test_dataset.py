"""A split is encoded once for its content, whichever split it is."""

from __future__ import annotations

from pathlib import Path

from peftlab.core.inputs import OwnFiles
from peftlab.data.encode import Encoded, encode_cached
from peftlab.data.glue_folder import GlueFolder
from peftlab.data.own_files import OwnSource
from peftlab.data.own_tasks import Asked, define
from peftlab.engine.dataset import encode_split
from peftlab.models.checkpoints import load_tokenizer
from peftlab.models.tokenizer import HubTokenizer
from peftlab.tasks.glue import SST2
from peftlab.tasks.registry import own_task

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


def test_rows_that_were_cut_from_the_front_are_not_taken_for_drawn_ones(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    tokenizer, cache = load_tokenizer(str(tiny_checkpoint)), tmp_path / "cache"
    path = tmp_path / "train.csv"
    lines = [f"text {number},{'ab'[number >= 20]}\n" for number in range(40)]
    path.write_text("text,label\n" + "".join(lines))
    keys = {"train": str(path), "dev": str(path), "text": ("text",), "label": ("label",)}

    def drawn(split_seed: int) -> Encoded:
        files = OwnFiles.model_validate({**keys, "split_seed": split_seed})
        task = own_task("own", define(files, Asked(), where="own"))
        return encode_split(
            OwnSource(files), task, "train", 10, tokenizer, max_length=32, cache=cache
        )

    files = OwnFiles.model_validate(keys)
    source, task = OwnSource(files), own_task("own", define(files, Asked(), where="own"))
    older = encode_cached(
        lambda: source.examples(task, "train")[:10],
        tokenizer,
        max_length=32,
        cache=cache,
        key=f"{source.ref(task).digest}:own:train:10",
    )
    found = drawn(42)
    assert older.labels.tolist() == [0] * 10
    assert sorted(found.labels.tolist()) == [0] * 5 + [1] * 5
    assert [int(row >= 20) for row in found.row_ids] == found.labels.tolist()
    assert drawn(42).name == found.name
    assert drawn(43).name != found.name
    assert drawn(43).row_ids.tolist() != found.row_ids.tolist()
