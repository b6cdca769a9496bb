"""Tokenizers that lack something: each is mended, or refused in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.errors import UserError
from peftlab.models.checkpoints import load_model, load_tokenizer, tokenizer_of

ROWS = [("the cat 猫",), ("",), ("zebra",)]


@pytest.fixture
def folder(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint that a test may spoil."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "bert"))


def rewrite(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("lost", ["[UNK]", "all"])
def test_a_text_for_which_there_is_no_token_is_one_line(lost: str, folder: Path) -> None:
    def lose(tokenizer: dict[str, Any]) -> None:
        vocabulary = tokenizer["model"]["vocab"]
        if lost == "all":
            tokenizer["model"]["vocab"] = {"the": vocabulary["the"]}
        else:
            vocabulary["[unused]"] = vocabulary.pop(lost)

    rewrite(folder / "tokenizer.json", lose)
    rewrite(folder / "tokenizer_config.json", lambda config: config.update(unk_token=None))
    tokenizer = load_tokenizer(str(folder))
    with pytest.raises(UserError, match=r"cannot encode a text: WordPiece error: Missing \[UNK\]"):
        tokenizer(ROWS, 12)


def test_a_tokenizer_without_a_token_for_padding_gets_one(folder: Path) -> None:
    def lose(tokenizer: dict[str, Any]) -> None:
        tokenizer["added_tokens"] = [
            token for token in tokenizer["added_tokens"] if token["content"] != "[PAD]"
        ]

    rewrite(folder / "tokenizer.json", lose)
    rewrite(folder / "tokenizer_config.json", lambda config: config.pop("pad_token"))
    assert load_tokenizer(str(folder)).pad_id in range(93)


def test_a_token_for_padding_without_an_embedding_is_not_used(folder: Path) -> None:
    expected = load_tokenizer(str(folder))(ROWS, 12)
    tokenizer_of.cache_clear()
    rewrite(folder / "tokenizer_config.json", lambda config: config.update(pad_token="[NEW]"))
    tokenizer = load_tokenizer(str(folder))
    size = load_model(str(folder), num_labels=2, seed=0).get_input_embeddings().weight.shape[0]
    assert tokenizer.tokenizer.convert_tokens_to_ids("[NEW]") >= size > tokenizer.pad_id
    assert tokenizer(ROWS, 12) == expected


def test_no_files_of_a_tokenizer_are_no_tokenizer(folder: Path) -> None:
    for pattern in ("*token*", "vocab*"):
        for path in folder.glob(pattern):
            path.unlink()
    with pytest.raises(UserError, match="has no words, only 5 special token"):
        load_tokenizer(str(folder))


def test_two_tokens_of_one_id_are_named(folder: Path) -> None:
    def lose(tokenizer: dict[str, Any]) -> None:
        del tokenizer["model"]["vocab"]["[CLS]"]  # which transformers then adds at a taken place
        tokenizer["added_tokens"] = [
            token for token in tokenizer["added_tokens"] if token["content"] != "[CLS]"
        ]

    rewrite(folder / "tokenizer.json", lose)
    with pytest.raises(UserError, match=r"two tokens of the id 92: .*\[CLS\]"):
        load_tokenizer(str(folder))


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_a_file_that_is_cut_short_is_one_line(name: str, text: str, folder: Path) -> None:
    (folder / name).write_text(text)
    with pytest.raises(UserError) as caught:
        load_tokenizer(str(folder))
    assert "\n" not in str(caught.value)
