"""p values of several tests that are read together."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float], num_tests: int = 0, *, num_false: int = 0) -> list[float]:
    """Return Holm's adjusted p values (1979) in the order given: any error at all has the level.

    `num_tests` is the size of the family where it has more tests than there are p values. Of the
    hypotheses `num_false` are known to be false, whichever they are.

    >>> holm([0.01, 0.04, 0.03]), holm([0.01, 0.04, 0.9], num_false=1)
    ([0.03, 0.06, 0.06], [0.02, 0.08, 0.9])
    """
    adjusted = [0.0] * len(p_values)
    num_tests = max(num_tests, len(p_values))
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        num_true = max(num_tests - max(rank, num_false), 1)
        highest = max(highest, num_true * p_values[index])
        adjusted[index] = min(1.0, highest)
    return adjusted
