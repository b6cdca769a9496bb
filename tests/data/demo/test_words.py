"""The two lexicons share no content word, and no word takes two places in one of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields

import pytest

from peftlab.data.demo.words import DEV, LEXICONS, TRAIN, Lexicon

FUNCTION_WORDS = {"the", "in", "on", "at"}


def phrases(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    else:
        assert isinstance(value, tuple)
        for part in value:
            yield from phrases(part)


def content_words(lexicon: Lexicon) -> set[str]:
    text = " ".join(phrases(tuple(getattr(lexicon, field.name) for field in fields(lexicon))))
    return set(re.findall(r"[a-z]+", text.lower())) - FUNCTION_WORDS


def test_train_and_dev_share_no_content_word() -> None:
    assert content_words(TRAIN) & content_words(DEV) == set()


@pytest.mark.parametrize("split", LEXICONS)
@pytest.mark.parametrize("field", [field.name for field in fields(Lexicon)])
def test_no_entry_of_a_list_is_there_twice_or_empty(field: str, split: str) -> None:
    entries = getattr(LEXICONS[split], field)
    assert [entry for entry, count in Counter(entries).items() if count > 1] == []
    assert len(entries) >= 5
    assert all(phrase and phrase == phrase.strip() for phrase in phrases(entries))


@pytest.mark.parametrize("split", LEXICONS)
def test_no_word_is_both_good_and_bad_or_of_a_man_and_a_woman(split: str) -> None:
    lexicon = LEXICONS[split]
    assert not set(lexicon.good) & set(lexicon.bad)
    assert not set(lexicon.men) & set(lexicon.women)


@pytest.mark.parametrize("split", LEXICONS)
def test_the_forms_that_a_mistake_confuses_are_different(split: str) -> None:
    lexicon = LEXICONS[split]
    for base, third, past, participle in (*lexicon.acts, *lexicon.moves):
        assert len({base, third, past}) == 3
        assert participle not in {base, third}
    for singular, plural in (*lexicon.people, *lexicon.objects):
        assert singular != plural


@pytest.mark.parametrize("split", LEXICONS)
def test_no_verb_that_takes_an_object_is_among_those_that_take_none(split: str) -> None:
    # "The nurse sang the song" is good grammar, and a row would call it a mistake.
    assert not {"sing", "grow"} & {base for base, *_ in LEXICONS[split].moves}
