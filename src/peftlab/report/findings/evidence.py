"""The evidence for a verdict, in words for a reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from peftlab.core.words import counted
from peftlab.report.findings.better_words import points_more
from peftlab.stats.compare import Difference
from peftlab.stats.noise import LEVEL
from peftlab.stats.power import MOST_SEEDS, FurtherSeeds, Hopeless, reach_of_examples
from peftlab.stats.tails import least_num_seeds
from peftlab.study.spec import LEAST_SEEDS
from peftlab.tasks.spec import Task

LEAST_SHOWN = 0.01
"""The smallest difference that is shown, in points; smaller ones are shown as "up to" it."""
IDENTICAL = "same answers"
"""The words that replace an interval if two arms give the same answers throughout."""


@dataclass(frozen=True, kw_only=True)
class TestNumbers:
    """A test's p value, alone and adjusted by Holm, the size of its family, and its level.

    `num_withdrawn` of the tests are claims that the study no longer has. The level is the one that
    Holm's method gives the test together with all other undecided tests.
    """

    p_value: float
    p_holm: float
    num_tests: int
    level: float
    num_withdrawn: int = 0


def evidence_words(
    pair: tuple[str, str],
    tasks: Sequence[Task],
    found: Difference,
    margin: float | None,
    tested: TestNumbers,
    further: FurtherSeeds | Hopeless | None,
    num_pairs: int = 1,
) -> str:
    """Return the sentences on a difference, its interval and its test.

    `further` is the number of further seeds that would decide it; `num_pairs` is the number of
    pairs that the claim compares.
    """
    where = f"on {tasks[0].name}" if len(tasks) == 1 else f"in the mean over {len(tasks)} tasks"
    more = points_more(tasks, is_better=found.estimate >= 0)
    interval = "the same on every example, so that the test uses only their number"
    if found.noise.is_known:
        looks = " for any number of looks" if found.is_always_valid else ""
        interval = f"95% interval{looks} {signed(found.low)} to {signed(found.high)}"
    sentences = [
        f"{pair[0]} scores {tenths(abs(found.estimate))} {more} than {pair[1]} {where} "
        f"({interval}; {runs_words(found)})",
        _test_words(found, margin, tested),
    ]
    if further is not None:
        it = "it" if num_pairs == 1 else "this pair"
        sentences.append(_further_words(found, tested.level, further, it))
    return ". ".join(sentences) + "."


def no_noise_words(pair: tuple[str, str], found: Difference, *, is_identical: bool) -> str:
    """Return the sentence that two arms show no difference that a test could use."""
    same = (
        "give the same answer to every example with every seed"
        if is_identical
        else "score the same, whichever of the examples are drawn"
    )
    return (
        f"{pair[0]} and {pair[1]} {same} ({runs_words(found)}): no noise is seen, "
        "so there is neither an interval nor a test"
    )


def runs_words(found: Difference) -> str:
    """Return the words for the numbers of runs and examples behind a difference."""
    seeds = counted(found.num_seeds, "seed")
    each = "" if found.is_paired else " each"
    folds = f", {found.num_folds} folds" if found.num_folds else ""
    return f"{seeds}{each}{folds}, {found.noise.num_examples:,} examples"


def least_seeds(found: Difference, num_tests: int = 1) -> int:
    """Return the fewest runs of each arm for a verdict on the difference, as one of several tests.

    A test for any number of looks cannot reach the level of Holm's first step with fewer. Folds are
    runs on other rows, so with enough folds one seed is sufficient.
    """
    if not found.is_always_valid:
        return 1 if found.num_folds >= LEAST_SEEDS else LEAST_SEEDS
    return least_num_seeds(LEVEL / max(num_tests, 1), num_groups=1 if found.is_paired else 2)


def too_few_words(found: Difference, least: int, num_tests: int = 1) -> str:
    """Return the sentence that a difference rests on too few runs for a verdict."""
    own = counted(found.num_seeds, "run")
    which = f"a verdict on one of {num_tests} claims" if num_tests > 1 else "a verdict"
    after = " that holds for any number of looks" if found.is_always_valid else ""
    words = f"{own} of each arm, where {which}{after} takes at least {least}"
    if found.num_seeds == 1 and found.noise.is_known and not found.num_folds:
        words += "; the interval is that of these trained models, it does not cover other seeds"
    return words


def p_words(p_value: float) -> str:
    """Return a p value in the usual notation.

    >>> p_words(0.0312), p_words(1e-6)
    ('p = 0.031', 'p < 0.001')
    """
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def tenths(points: float) -> str:
    """Return points to a tenth, or to a hundredth if a tenth would show nothing.

    >>> tenths(83.42), tenths(0.31), tenths(0.04), tenths(0.001)
    ('83.4', '0.3', '0.04', '0.0')
    """
    digits = 1 if round(points, 1) or not round(points, 2) else 2
    return f"{round(points, digits) or 0.0:.{digits}f}"


def signed(difference: float) -> str:
    """Return a difference in points with its sign, or without a sign if it is rounded to zero.

    >>> signed(0.31), signed(-1.2), signed(-0.04), signed(-0.001)
    ('+0.3', '-1.2', '-0.04', '0.0')
    """
    shown = tenths(difference)
    return f"+{shown}" if round(difference, 2) > 0 else shown


def points_words(points: float) -> str:
    """Return an amount of points in words.

    >>> points_words(1.0), points_words(2.5)
    ('1 point', '2.5 points')
    """
    return f"{points:g} point{'' if points == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Return the names as a list in a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _test_words(found: Difference, margin: float | None, tested: TestNumbers) -> str:
    of_what = (
        "difference" if margin is None else f"difference against a margin of {points_words(margin)}"
    )
    looks = ", for any number of looks" if found.is_always_valid else ""
    holm = ""
    if tested.num_tests > 1:
        gone = f", {tested.num_withdrawn} of them withdrawn after a look," * bool(
            tested.num_withdrawn
        )
        holm = f"; as one of {tested.num_tests} tests{gone} {p_words(tested.p_holm)} (Holm)"
    return f"Test of the {of_what}{looks}: {p_words(tested.p_value)}{holm}"


def _further_words(
    found: Difference, level: float, further: FurtherSeeds | Hopeless, it: str
) -> str:
    if further == "examples":
        left = reach_of_examples(found.noise, level)
        doubt = tenths(left) if left >= LEAST_SHOWN else f"up to {LEAST_SHOWN:g}"
        return (
            f"If the true difference is the estimated one, no number of seeds decides {it}: these "
            f"examples leave {doubt} points of doubt on either side"
        )
    if further == "too many":
        return f"It would take more than {MOST_SEEDS} seeds to decide {it}"
    seeds = counted(further.num, "further seed")
    return (
        f"With {seeds} {it} would be decided in {further.power:.0%} of cases if the true "
        f"difference is the estimated one, and in {further.chance:.0%} over all differences that "
        "the runs so far leave possible"
    )
