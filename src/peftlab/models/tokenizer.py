"""A transformers tokenizer behind the interface that data/encode.py expects."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from peftlab.core.errors import UserError, first_line
from peftlab.core.words import counted
from peftlab.data.encode import TokenLists

TYPE_IDS = "token_type_ids"
PARALLEL = "TOKENIZERS_PARALLELISM"


class HubTokenizer:
    """A function from rows of texts to lists of ids, with the fingerprint of its checkpoint.

    The tokenizer is read when anything but the fingerprint is first needed.
    """

    def __init__(self, read: Callable[[], Any], fingerprint: str) -> None:
        self._read = read
        self.fingerprint = fingerprint

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer of transformers. Raises UserError if it cannot be read."""
        return self._read()

    @property
    def pad_id(self) -> int:
        """The id of the padding token."""
        return int(self.tokenizer.pad_token_id)

    def __call__(self, rows: Sequence[tuple[str, ...]], max_length: int) -> TokenLists:
        """Return token ids with special tokens, each row truncated to `max_length` tokens.

        A pair that is too long loses tokens from its longer text first, as in run_glue.py. If a
        model has no special tokens, as in GPT-2, the texts of a row follow each other directly, and
        a row without any text is one padding token. Raises UserError if a text has something for
        which the tokenizer has no token, not even an unknown token.
        """
        tokenize = self._fast if self.tokenizer.is_fast else self.plainly
        try:
            lists = tokenize(rows, max_length)
        except Exception as error:  # the tokenizers library raises nothing more specific
            cause = first_line(error)
            raise UserError(
                f"the tokenizer cannot encode a text: {cause}",
                where=str(self.tokenizer.name_or_path),
                allowed="a complete tokenizer, with a token for unknown text",
            ) from error
        if all(lists.ids):
            return lists
        return TokenLists(
            ids=[row or [self.pad_id] for row in lists.ids],
            type_ids=lists.type_ids and [row or [0] for row in lists.type_ids],
        )

    def _fast(self, rows: Sequence[tuple[str, ...]], max_length: int) -> TokenLists:
        backend = self.tokenizer.backend_tokenizer
        backend.no_padding()
        backend.enable_truncation(max_length, direction=self.tokenizer.truncation_side)
        texts = [row[0] if len(row) == 1 else row for row in rows]
        with _on_all_cores():
            encodings = backend.encode_batch_fast(texts)
        has_types = TYPE_IDS in self.tokenizer.model_input_names
        return TokenLists(
            ids=[encoding.ids for encoding in encodings],
            type_ids=[encoding.type_ids for encoding in encodings] if has_types else None,
        )

    def plainly(self, rows: Sequence[tuple[str, ...]], max_length: int) -> TokenLists:
        """Return the same lists by transformers' own call, which takes twice the time."""
        columns = [list(column) for column in zip(*rows, strict=True)]
        encoding = self.tokenizer(
            *columns,
            truncation=True,
            max_length=max_length,
            padding=False,
            return_attention_mask=False,
        )
        return TokenLists(ids=encoding["input_ids"], type_ids=encoding.get(TYPE_IDS))


def require_words(tokenizer: Any, *, name: str) -> None:
    """Raise UserError if the tokenizer has no words, or a special token has a word's id.

    If a checkpoint has no tokenizer files, transformers makes a tokenizer of special tokens only.
    """
    allowed = "the tokenizer with which the checkpoint was trained, in its folder"
    vocabulary = tokenizer.get_vocab()
    if vocabulary.keys() <= {*tokenizer.all_special_tokens}:
        raise UserError(
            f"the tokenizer of '{name}' has no words, only "
            f"{counted(len(vocabulary), 'special token')}: its files are missing or incomplete",
            allowed=allowed,
        )
    special = {vocabulary[one]: one for one in tokenizer.all_special_tokens if one in vocabulary}
    for token, number in vocabulary.items():
        if special.get(number, token) != token:
            raise UserError(
                f"the tokenizer of '{name}' has two tokens of the id {number}: {token!r} and "
                f"{special[number]!r}",
                allowed=allowed,
            )


@contextmanager
def _on_all_cores() -> Iterator[None]:
    """Let the tokenizers library use threads within the block: OMP_NUM_THREADS, or all cores.

    They are enabled only there, so that the library does not warn in a process forked later.
    """
    os.environ.setdefault("RAYON_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "0"))
    before = os.environ.get(PARALLEL)
    os.environ[PARALLEL] = "true"
    try:
        yield
    finally:
        os.environ[PARALLEL] = before or "false"
