"""Remarks with a verdict: negation turns it round, a concession counts for nothing."""

from __future__ import annotations

from peftlab.data.demo.draw import Draw
from peftlab.data.demo.words import Lexicon

FRAMES = (
    "the {thing} was {word}.",
    "what a {word} {thing}!",
    "I found the {aspect} {word}.",
    "the {aspect} of this {thing} is {word}.",
    "everybody called the {thing} {word}.",
)
NEGATED = (
    "the {thing} was not {word} at all.",
    "nobody would call the {aspect} {word}.",
    "the {aspect} of this {thing} is anything but {word}.",
)
CONTRASTS = (
    "although the {other} seemed {opposite}, the {thing} was {word}.",
    "the {other} may be {opposite}, but in the end I thought the {thing} {word}.",
    "the {thing} was {word}, even if the {other} was {opposite}.",
)


def sentiment(draw: Draw, words: Lexicon) -> tuple[tuple[str, ...], int]:
    """Return one remark, and 1 if it is favourable, else 0."""
    label = draw.below(2)
    good, bad = draw.one(words.good), draw.one(words.bad)
    kind = draw.below(10)
    frames = FRAMES if kind < 4 else NEGATED if kind < 7 else CONTRASTS
    says_good = label == 1 if frames is not NEGATED else label == 0
    text = draw.one(frames).format(
        thing=draw.one(words.things),
        aspect=draw.one(words.aspects),
        other=draw.one(words.aspects),
        word=good if says_good else bad,
        opposite=bad if says_good else good,
    )
    return (text,), label
