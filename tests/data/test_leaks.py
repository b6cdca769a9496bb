"""Rows of dev in train are counted (for pairs by both texts), and texts with several labels."""

from __future__ import annotations

import random
from time import process_time

import pytest

from peftlab.core.inputs import Example
from peftlab.data.leaks import Leak, find_leak, num_contradictory


def rows(*texts: tuple[str, ...] | str, labels: str = "") -> list[Example]:
    given = [(one,) if isinstance(one, str) else one for one in texts]
    return [
        Example(row_id=place, texts=one, label=int(labels[place]) if labels else 0)
        for place, one in enumerate(given)
    ]


def test_rows_are_found_exactly_and_as_they_are_read() -> None:
    train = rows("A good film.", "A bad film.", "It rained")
    dev = rows("A good film.", " a  BAD\tfilm. ", "It snowed", "A good film.")
    assert find_leak(train, dev) == Leak(num_rows=4, exact=2, alike=3)


def test_of_a_pair_both_texts_count_and_in_their_order() -> None:
    train = rows(("a", "b"), ("c", "d"))
    dev = rows(("a", "d"), ("b", "a"), ("C", "d"), ("ab", ""))
    assert find_leak(train, dev) == Leak(num_rows=4, exact=0, alike=1)


def test_a_slow_search_finds_the_same() -> None:
    draw = random.Random(0)
    for _ in range(50):
        train, dev = (
            rows(*("".join(draw.choices("aA ", k=3)) for _ in range(8))) for _ in range(2)
        )
        exact = sum(any(one.texts == two.texts for two in train) for one in dev)
        alike = sum(
            any(one.texts[0].lower().split() == two.texts[0].lower().split() for two in train)
            for one in dev
        )
        assert find_leak(train, dev) == Leak(num_rows=8, exact=exact, alike=alike)


def test_many_rows_take_seconds_at_most() -> None:
    train = rows(*(f"this is the row of number {n}" for n in range(200_000)))
    dev = rows(*(f"this is the row of number {n}" for n in range(100_000, 300_000)))
    began = process_time()
    assert find_leak(train, dev).exact == 100_000
    assert process_time() - began < 10


@pytest.mark.parametrize(
    ("leak", "words"),
    [
        (Leak(num_rows=9), "no row of dev is in train"),
        (Leak(num_rows=9, exact=1, alike=1), "1 of 9 rows of dev is in train (exactly)"),
        (
            Leak(num_rows=2000, exact=0, alike=1200),
            "1,200 of 2,000 rows of dev are in train (after lower-casing and squeezing blanks)",
        ),
        (
            Leak(num_rows=9, exact=9, alike=9, is_same_file=True),
            "dev is the file of train itself: 9 of 9 rows of dev are in train (exactly)",
        ),
    ],
)
def test_what_was_found_is_one_sentence_and_comes_back_as_it_was_stored(
    leak: Leak, words: str
) -> None:
    assert leak.words() == words
    assert Leak.of(leak.to_json()) == leak


@pytest.mark.parametrize(
    "stored", [None, 3, {}, {"num_rows": 1, "exact": "1", "alike": 1}, {"num_rows": -1}]
)
def test_what_is_no_such_thing_is_nothing(stored: object) -> None:
    assert Leak.of(stored) is None


def test_texts_that_have_several_labels_are_counted_once() -> None:
    train = rows("a b", "c", "A  b", "a b", "d", "c", labels="010101")
    assert num_contradictory(train) == (1, (0, 3))
    assert num_contradictory(rows("a", "b", "a", labels="010")) == (0, None)
