"""The demo's rows are the same everywhere, all different, and hard in the way that is said."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import astuple

import pytest

from peftlab.core.errors import UserError
from peftlab.core.identity import content_id
from peftlab.core.inputs import Example
from peftlab.data.demo import source as demo
from peftlab.data.demo.draw import Draw
from peftlab.data.demo.source import MAKERS, NOISE_PERCENT, DemoSource
from peftlab.data.demo.words import LEXICONS
from peftlab.tasks.demo import DEMO, SENTIMENT
from peftlab.tasks.spec import Task

# The digests change with the rows: then trials on the demo have new ids, and stored scores on it
# no longer compare.
DIGESTS = {
    "demo-sentiment": "2939fdf59082b331df24a4d568c8287e4ec734c9e3579946b9d2bbd69613db78",
    "demo-acceptability": "31b81c752fbbc908f90c4f4ea7faba6282229c94aac5abc45b17a0adfa670823",
    "demo-paraphrase": "d1b2b4f399fe7aadea028375cc89a68b4b3eb2bc439e0ea321c56cbe296903c1",
}
each_task = pytest.mark.parametrize("task", DEMO, ids=lambda task: task.name)
each_split = pytest.mark.parametrize("split", ["train", "dev"])


def read(task: Task, split: str) -> list[Example]:
    return DemoSource().examples(task, split)


def words(examples: list[Example]) -> set[str]:
    text = " ".join(text for example in examples for text in example.texts)
    return set(re.findall(r"[a-z]+", text.lower()))


@each_task
def test_the_rows_are_pinned_by_their_digest(task: Task) -> None:
    assert DemoSource().ref(task).digest == DIGESTS[task.name]


@each_task
def test_the_digest_is_that_of_all_texts_and_labels(task: Task) -> None:
    rows = [
        [list(example.texts), example.label] for split in LEXICONS for example in read(task, split)
    ]
    assert content_id(["demo", task.name, rows], length=64) == DIGESTS[task.name]


@each_task
def test_made_again_the_rows_are_the_same(task: Task) -> None:
    first = read(task, "train")
    demo._examples.cache_clear()
    assert read(task, "train") == first


@each_task
def test_there_are_as_many_rows_as_the_task_says_and_enough_of_them(task: Task) -> None:
    assert len(read(task, "train")) == task.num_train >= 1000
    assert len(read(task, "dev")) == task.num_dev >= 300


@each_task
def test_all_rows_are_different_and_none_is_in_both_splits(task: Task) -> None:
    texts = [example.texts for split in LEXICONS for example in read(task, split)]
    assert len(set(texts)) == len(texts)


@each_task
def test_no_row_of_a_split_holds_a_content_word_of_the_other(task: Task) -> None:
    in_both = words(read(task, "train")) & words(read(task, "dev"))
    lexicons = " ".join(str(astuple(lexicon)) for lexicon in LEXICONS.values())
    taken_from_a_lexicon = in_both & set(re.findall(r"[a-z]+", lexicons.lower()))
    assert taken_from_a_lexicon <= {"a", "at", "beside", "by", "in", "on", "the", "this", "to"}


@each_split
@each_task
def test_neither_class_is_rare(task: Task, split: str) -> None:
    counts = Counter(example.label for example in read(task, split))
    assert set(counts) == {0, 1}
    assert min(counts.values()) > 0.35 * counts.total()


@each_split
@each_task
def test_so_many_labels_are_turned_round_and_the_others_are_the_makers(
    task: Task, split: str
) -> None:
    examples = read(task, split)
    made: dict[tuple[str, ...], int] = {}
    number = 0
    while len(made) < len(examples):
        texts, label = MAKERS[task.name](Draw(task.name, split, number), LEXICONS[split])
        made.setdefault(texts, label)
        number += 1
    assert list(made) == [example.texts for example in examples]
    wrong = sum(made[example.texts] != example.label for example in examples)
    assert 0.5 * NOISE_PERCENT < 100 * wrong / len(examples) < 1.75 * NOISE_PERCENT


@each_task
@pytest.mark.parametrize("split", ["test", "validation", ""])
def test_a_split_that_the_demo_lacks_is_one_line(task: Task, split: str) -> None:
    with pytest.raises(UserError) as caught:
        read(task, split)
    assert str(caught.value) == (
        f"the task '{task.name}' has no split '{split}' (allowed: train, dev)"
    )


def test_the_first_rows_are_these() -> None:
    assert read(SENTIMENT, "train")[:2] == [
        Example(
            row_id=0,
            texts=("the game was enjoyable, even if the speaker was terrible.",),
            label=1,
        ),
        Example(row_id=1, texts=("nobody would call the design terrible.",), label=1),
    ]
