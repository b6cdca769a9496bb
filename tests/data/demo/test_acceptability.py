"""A sentence of each kind is good as made, and has one mistake where it is to be bad."""

from __future__ import annotations

import pytest

from peftlab.data.demo.acceptability import KINDS, acceptability
from peftlab.data.demo.draw import Draw
from peftlab.data.demo.words import LEXICONS, TRAIN


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_sentence_is_made_as_good_and_as_bad(kind: object) -> None:
    texts = {
        good: {kind(Draw("x", number), TRAIN, good) for number in range(500)}  # type: ignore[operator]
        for good in (True, False)
    }
    assert not texts[True] & texts[False]


@pytest.mark.parametrize("split", LEXICONS)
def test_a_sentence_begins_with_a_capital_and_ends_with_a_stop(split: str) -> None:
    for number in range(200):
        (text,), label = acceptability(Draw("x", number), LEXICONS[split])
        assert text[0].isupper()
        assert text.endswith(".")
        assert "  " not in text
        assert label in {0, 1}


def test_a_participle_or_a_reflexive_is_right_exactly_in_good_sentences() -> None:
    participles = {verb[3] for verb in TRAIN.acts}
    seen = 0
    for number in range(400):
        (text,), label = acceptability(Draw("x", number), TRAIN)
        words = text.rstrip(".").split()
        if "has" in words:
            seen += 1
            assert (words[words.index("has") + 1] in participles) == bool(label)
        for name, pronoun in ((TRAIN.women, "herself"), (TRAIN.men, "himself")):
            if pronoun in words:
                seen += 1
                assert (words[0] in name) == bool(label)
    assert seen > 50


def test_six_sentences_in_ten_are_good() -> None:
    labels = [acceptability(Draw("x", number), TRAIN)[1] for number in range(1000)]
    assert 540 < sum(labels) < 660
