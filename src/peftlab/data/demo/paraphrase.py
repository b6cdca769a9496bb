"""Pairs of sentences: said in another way, or changed so that they say another thing."""

from __future__ import annotations

from collections.abc import Callable

from peftlab.data.demo.draw import Draw
from peftlab.data.demo.words import Lexicon


def paraphrase(draw: Draw, words: Lexicon) -> tuple[tuple[str, ...], int]:
    """Return two sentences, and 1 if they say the same, else 0 (six pairs in ten do)."""
    same = draw.chance(60)
    first, second = draw.one(KINDS)(draw, words, same)
    if draw.chance(50):
        first, second = second, first
    return (_sentence(first), _sentence(second)), int(same)


def _voice(draw: Draw, words: Lexicon, same: bool) -> tuple[str, str]:
    """Return an active sentence and its passive, else one with another object or verb."""
    subject = draw.one(words.people)[0]
    (thing, _), (other, _) = draw.two(words.objects)
    act, wrong = draw.two(words.acts)
    time = draw.one(words.times)
    active = f"the {subject} {act[2]} the {thing} {time}"
    if same:
        return active, f"{time} the {thing} was {act[3]} by the {subject}"
    if draw.chance(50):
        return active, f"{time} the {other} was {act[3]} by the {subject}"
    return active, f"{time} the {thing} was {wrong[3]} by the {subject}"


def _synonym(draw: Draw, words: Lexicon, same: bool) -> tuple[str, str]:
    """Return sentences with a verb and its synonym, else with a verb of another meaning."""
    (verb, synonym), (wrong, _) = draw.two(words.synonyms)
    name, thing = draw.one(words.women + words.men), draw.one(words.objects)[1]
    where = draw.one(words.places)
    return (
        f"{name} wants to {verb} the {thing} {where}",
        f"{name} would like to {synonym if same else wrong} the {thing} {where}",
    )


def _roles(draw: Draw, words: Lexicon, same: bool) -> tuple[str, str]:
    """Return a sentence and its passive, else the passive with the roles exchanged."""
    (giver, _), (taker, _) = draw.two(words.people)
    thing = draw.one(words.objects)[0]
    first = f"the {giver} gave the {taker} a {thing}"
    if same:
        return first, f"a {thing} was given to the {taker} by the {giver}"
    return first, f"a {thing} was given to the {giver} by the {taker}"


def _negation(draw: Draw, words: Lexicon, same: bool) -> tuple[str, str]:
    """Return a fact and the same fact with its parts moved, else its denial."""
    (name, friend), place = draw.two(words.women + words.men), draw.one(words.places)
    base, _, past, _ = draw.one(words.moves)
    first = f"{name} and {friend} {past} {place}"
    verb = past if same else f"did not {base}"
    return first, f"{place}, {friend} and {name} {verb}"


def _property(draw: Draw, words: Lexicon, same: bool) -> tuple[str, str]:
    """Return an attribute and the same one as a clause, else another attribute."""
    kind, wrong = draw.two(words.colours)
    thing, subject = draw.one(words.objects)[0], draw.one(words.people)[0]
    past = draw.one(words.acts)[2]
    return (
        f"the {subject} {past} the {kind} {thing}",
        f"the {thing} that the {subject} {past} was {kind if same else wrong}",
    )


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


KINDS: tuple[Callable[[Draw, Lexicon, bool], tuple[str, str]], ...] = (
    _voice,
    _synonym,
    _roles,
    _negation,
    _property,
)
