"""A remark's label follows from its words by rule: negation turns, a concession does not count."""

from __future__ import annotations

import pytest

from peftlab.data.demo.draw import Draw
from peftlab.data.demo.sentiment import CONTRASTS, FRAMES, NEGATED, sentiment
from peftlab.data.demo.words import LEXICONS, Lexicon

NEGATIONS = ("not", "nobody", "anything but")


def slow_label(text: str, words: Lexicon) -> int:
    """Return the label found by reading: concessions are struck out, negations reverse it."""
    for start, end in (("although ", ", "), ("the ", ", but in the end "), (", even if ", ".")):
        before, found, rest = text.partition(start)
        if found and end in rest and (start != "the " or not before):
            text = before + rest.split(end, 1)[1]
            break
    good = any(word in text for word in words.good)
    bad = any(word in text for word in words.bad)
    assert good != bad, text
    is_turned = any(negation in text for negation in NEGATIONS)
    return int(good != is_turned)


@pytest.mark.parametrize("split", LEXICONS)
def test_the_label_is_that_of_a_slow_reader(split: str) -> None:
    words = LEXICONS[split]
    for number in range(400):
        (text,), label = sentiment(Draw("sentiment", split, number), words)
        assert label == slow_label(text, words), text


def test_every_frame_is_used() -> None:
    starts = {
        frame.partition("{")[0] for frame in (*FRAMES, *NEGATED, *CONTRASTS) if frame[0] != "{"
    }
    texts = [sentiment(Draw("x", number), LEXICONS["train"])[0][0] for number in range(400)]
    assert all(any(text.startswith(start) for text in texts) for start in starts)
    assert not any("{" in text for text in texts)


def test_a_single_word_does_not_give_the_label_away() -> None:
    words = LEXICONS["train"]
    rows = [sentiment(Draw("x", number), words) for number in range(600)]
    guessed = [int(any(word in text for word in words.good)) for (text,), _ in rows]
    right = sum(guess == label for guess, (_, label) in zip(guessed, rows, strict=True))
    assert right / len(rows) < 0.75
