"""A pair of each kind says the same, or differs in one thing that matters."""

from __future__ import annotations

import pytest

from peftlab.data.demo.draw import Draw
from peftlab.data.demo.paraphrase import KINDS, paraphrase
from peftlab.data.demo.words import DEV, LEXICONS


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_pair_is_made_as_the_same_and_as_another(kind: object) -> None:
    pairs = {
        same: {kind(Draw("x", number), DEV, same) for number in range(400)}  # type: ignore[operator]
        for same in (True, False)
    }
    assert not pairs[True] & pairs[False]
    assert all(first != second for first, second in pairs[True] | pairs[False])


@pytest.mark.parametrize("split", LEXICONS)
def test_both_texts_are_sentences(split: str) -> None:
    for number in range(200):
        texts, label = paraphrase(Draw("x", number), LEXICONS[split])
        assert label in {0, 1}
        for text in texts:
            assert text[0].isupper()
            assert text.endswith(".")
            assert "{" not in text


def test_a_pair_with_a_synonym_is_the_same_exactly_where_the_synonym_is_the_verbs() -> None:
    synonyms = dict(DEV.synonyms)
    seen = {0: 0, 1: 0}
    for number in range(600):
        texts, label = paraphrase(Draw("x", number), DEV)
        plain = next((text for text in texts if " wants to " in text), None)
        if plain is None:
            continue
        (other,) = [text for text in texts if text != plain]
        verb = plain.split(" wants to ")[1].split(" the ")[0]
        said = other.split(" would like to ")[1].split(" the ")[0]
        assert (said == synonyms[verb]) == bool(label)
        seen[label] += 1
    assert min(seen.values()) > 20


def test_either_sentence_may_come_first() -> None:
    first = [paraphrase(Draw("x", number), DEV)[0][0] for number in range(300)]
    wants = sum(" wants to " in text for text in first)
    likes = sum(" would like to " in text for text in first)
    assert wants > 15
    assert likes > 15


def test_six_pairs_in_ten_say_the_same() -> None:
    labels = [paraphrase(Draw("x", number), DEV)[1] for number in range(1000)]
    assert 540 < sum(labels) < 660
