"""Choices are a function of where they are made, the same on every machine."""

from __future__ import annotations

from collections import Counter

import pytest

from peftlab.data.demo.draw import Draw


def test_the_first_choices_are_pinned_for_good() -> None:
    draw = Draw("demo-sentiment", "train", 0)
    assert [draw.below(1000) for _ in range(5)] == [921, 653, 754, 307, 837]


def test_the_same_place_gives_the_same_stream_and_another_place_another() -> None:
    def stream(*place: str | int) -> tuple[int, ...]:
        draw = Draw(*place)
        return tuple(draw.below(1 << 30) for _ in range(4))

    places = [("a", "train", 0), ("a", "train", 1), ("a", "dev", 0), ("b", "train", 0)]
    assert stream(*places[0]) == stream(*places[0])
    assert len({choice for place in places for choice in stream(*place)}) == 16


def test_one_takes_every_item_about_equally_often() -> None:
    draw = Draw("x")
    counts = Counter(draw.one("abcd") for _ in range(4000))
    assert set(counts) == set("abcd")
    assert min(counts.values()) > 850  # 1000 expected, standard deviation 27


@pytest.mark.parametrize("items", ["ab", "abc"])
def test_two_are_always_different_and_every_pair_comes(items: str) -> None:
    draw = Draw("x")
    pairs = Counter(draw.two(items) for _ in range(3000))
    assert set(pairs) == {(a, b) for a in items for b in items if a != b}
    assert min(pairs.values()) > 0.8 * 3000 / len(pairs)


def test_a_chance_comes_true_in_so_many_of_a_hundred() -> None:
    draw = Draw("x")
    assert not any(draw.chance(0) for _ in range(300))
    assert all(draw.chance(100) for _ in range(300))
    assert 500 < sum(draw.chance(30) for _ in range(2000)) < 700  # 600 expected
