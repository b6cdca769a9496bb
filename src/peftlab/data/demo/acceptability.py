"""Sentences of good grammar, and the same kinds of sentence with one mistake in them."""

from __future__ import annotations

from collections.abc import Callable

from peftlab.data.demo.draw import Draw
from peftlab.data.demo.words import Lexicon


def acceptability(draw: Draw, words: Lexicon) -> tuple[tuple[str, ...], int]:
    """Return one sentence, and 1 if its grammar is good, else 0 (six in ten are good)."""
    good = draw.chance(60)
    text = draw.one(KINDS)(draw, words, good)
    return (text[0].upper() + text[1:] + ".",), int(good)


def _agreement(draw: Draw, words: Lexicon, good: bool) -> str:
    """Return a sentence in which subject and verb agree across a phrase of the other number."""
    subject, other = draw.two(words.people)
    plural = draw.below(2)
    base, third, _, _ = draw.one(words.moves)
    verb = (base if plural else third) if good else (third if plural else base)
    return f"the {subject[plural]} beside the {other[1 - plural]} {verb} {draw.one(words.times)}"


def _participle(draw: Draw, words: Lexicon, good: bool) -> str:
    """Return a sentence in which "has" is followed by the participle."""
    base, third, _, participle = draw.one(words.acts)
    verb = participle if good else draw.one((base, third))
    return f"the {draw.one(words.people)[0]} has {verb} the {draw.one(words.objects)[0]}"


def _order(draw: Draw, words: Lexicon, good: bool) -> str:
    """Return a sentence in which the object follows the verb and the article precedes its noun."""
    subject, thing = draw.one(words.people)[0], draw.one(words.objects)[0]
    past, place = draw.one(words.acts)[2], draw.one(words.places)
    if good:
        return f"the {subject} {past} the {thing} {place}"
    wrong = draw.below(3)
    if wrong == 0:
        return f"the {subject} the {thing} {past} {place}"
    if wrong == 1:
        return f"the {subject} {past} {thing} the {place}"
    return f"{past} {place} the {thing} the {subject}"


def _reflexive(draw: Draw, words: Lexicon, good: bool) -> str:
    """Return a sentence in which a reflexive pronoun agrees with the subject."""
    is_woman = draw.below(2)
    name = draw.one(words.women if is_woman else words.men)
    own, other = ("herself", "himself") if is_woman else ("himself", "herself")
    act = draw.one(words.acts)[2]
    return f"{name} {act} {own if good else other} {draw.one(words.times)}"


def _transitivity(draw: Draw, words: Lexicon, good: bool) -> str:
    """Return a sentence in which an intransitive verb has no object."""
    subject, past = draw.one(words.people)[0], draw.one(words.moves)[2]
    place, thing = draw.one(words.places), draw.one(words.objects)[0]
    return f"the {subject} {past} {place}" if good else f"the {subject} {past} the {thing} {place}"


def _question(draw: Draw, words: Lexicon, good: bool) -> str:
    """Return a question with the base form after "did" and a gap where its object was."""
    base, _, past, _ = draw.one(words.acts)
    subject, thing = draw.one(words.people)[0], draw.one(words.objects)[0]
    if good:
        return f"I wonder what the {subject} {past} {draw.one(words.times)}"
    if draw.chance(50):
        return f"I wonder what the {subject} {past} the {thing} {draw.one(words.times)}"
    return f"I wonder what did {base} the {subject} {draw.one(words.times)}"


KINDS: tuple[Callable[[Draw, Lexicon, bool], str], ...] = (
    _agreement,
    _participle,
    _order,
    _reflexive,
    _transitivity,
    _question,
)
