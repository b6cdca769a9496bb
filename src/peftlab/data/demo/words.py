"""The demo's words. Train and dev share no content word: what pretraining knows must help.

A lexicon holds the words of one split. Verbs are (base, third person, past, participle).
"""

from __future__ import annotations

from dataclasses import dataclass

Verb = tuple[str, str, str, str]


@dataclass(frozen=True, kw_only=True)
class Lexicon:
    """Content words of one split, by the place that they take in a sentence."""

    things: tuple[str, ...]
    aspects: tuple[str, ...]
    good: tuple[str, ...]
    bad: tuple[str, ...]
    men: tuple[str, ...]
    women: tuple[str, ...]
    people: tuple[tuple[str, str], ...]
    objects: tuple[tuple[str, str], ...]
    acts: tuple[Verb, ...]
    moves: tuple[Verb, ...]
    places: tuple[str, ...]
    times: tuple[str, ...]
    synonyms: tuple[tuple[str, str], ...]
    colours: tuple[str, ...]


def _verbs(text: str) -> tuple[Verb, ...]:
    verbs = []
    for entry in text.split(","):
        base, third, past, participle = entry.split()
        verbs.append((base, third, past, participle))
    return tuple(verbs)


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for entry in text.split(","):
        left, right = entry.strip().split("/")
        pairs.append((left.strip(), right.strip()))
    return tuple(pairs)


def _list(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(","))


TRAIN = Lexicon(
    things=_list("film, hotel, meal, concert, novel, lecture, museum, phone, game, flight, bakery"),
    aspects=_list("ending, service, sauce, sound, plot, speaker, guide, screen, design, seat"),
    good=_list(
        "wonderful, delightful, superb, charming, brilliant, enjoyable, lovely, impressive, "
        "pleasant, excellent, moving, clever, generous, refreshing, elegant, thrilling"
    ),
    bad=_list(
        "awful, dull, terrible, boring, clumsy, disappointing, dreadful, annoying, "
        "tedious, poor, sloppy, rude, stale, ugly, confusing, bland"
    ),
    men=_list("Peter, Daniel, Martin, Thomas, Oliver, Victor, Samuel, Henry"),
    women=_list("Anna, Laura, Helen, Julia, Clara, Emma, Nora, Alice"),
    people=_pairs(
        "teacher/teachers, farmer/farmers, singer/singers, student/students, baker/bakers, "
        "neighbour/neighbours, driver/drivers, nurse/nurses, soldier/soldiers"
    ),
    objects=_pairs(
        "letter/letters, bridge/bridges, table/tables, song/songs, garden/gardens, "
        "window/windows, basket/baskets, story/stories, jacket/jackets"
    ),
    acts=_verbs(
        "write writes wrote written, break breaks broke broken, see sees saw seen, "
        "choose chooses chose chosen, hide hides hid hidden, forget forgets forgot forgotten, "
        "paint paints painted painted, carry carries carried carried, clean cleans cleaned cleaned"
    ),
    moves=_verbs(
        "arrive arrives arrived arrived, sleep sleeps slept slept, laugh laughs laughed laughed, "
        "fall falls fell fallen, cough coughs coughed coughed, wait waits waited waited"
    ),
    places=_list("in the kitchen, near the river, at the station, behind the school, on the roof"),
    times=_list("yesterday, in the morning, last week, on Monday, before lunch"),
    synonyms=_pairs(
        "buy/purchase, begin/start, help/assist, repair/fix, show/display, build/construct, "
        "answer/reply to, shut/close, gather/collect"
    ),
    colours=_list("red, heavy, old, small, wooden"),
)

DEV = Lexicon(
    things=_list("play, restaurant, album, exhibition, laptop, podcast, cruise, campsite, cafe"),
    aspects=_list("acting, staff, dessert, rhythm, dialogue, keyboard, view, breakfast, lighting"),
    good=_list(
        "fantastic, marvellous, outstanding, splendid, terrific, fabulous, gorgeous, "
        "satisfying, magnificent, amusing, stunning, exquisite, admirable, graceful"
    ),
    bad=_list(
        "horrible, mediocre, lousy, dismal, irritating, miserable, shabby, tiresome, "
        "disgusting, pathetic, lifeless, unpleasant, dreary, hopeless"
    ),
    men=_list("George, Robert, Simon, Adam, Felix, Edward"),
    women=_list("Maria, Susan, Ruth, Diana, Irene, Sophie"),
    people=_pairs(
        "doctor/doctors, sailor/sailors, painter/painters, lawyer/lawyers, gardener/gardeners, "
        "actor/actors, waiter/waiters, pilot/pilots"
    ),
    objects=_pairs(
        "book/books, mirror/mirrors, lamp/lamps, poem/poems, bottle/bottles, fence/fences, "
        "ladder/ladders, picture/pictures"
    ),
    acts=_verbs(
        "steal steals stole stolen, draw draws drew drawn, take takes took taken, "
        "throw throws threw thrown, drop drops dropped dropped, wash washes washed washed, "
        "move moves moved moved, admire admires admired admired"
    ),
    moves=_verbs(
        "yawn yawns yawned yawned, kneel kneels knelt knelt, smile smiles smiled smiled, "
        "sneeze sneezes sneezed sneezed, shiver shivers shivered shivered, "
        "blush blushes blushed blushed"
    ),
    places=_list("in the cellar, beside the lake, at the market, under the tree, by the gate"),
    times=_list("this afternoon, at night, in spring, on Friday, after dinner"),
    synonyms=_pairs(
        "finish/complete, locate/find, demand/request, examine/inspect, sell/vend, "
        "explain/clarify, pick/select, permit/allow, teach/instruct"
    ),
    colours=_list("green, dusty, new, tall, golden"),
)
LEXICONS = {"train": TRAIN, "dev": DEV}
