"""The verdicts on a study's claims as blocks of the page."""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.report.findings.evidence import p_words, signed
from peftlab.report.findings.verdicts import Verdict
from peftlab.report.pages.blocks import NOTHING, Block, Cell, Claim, Claims, Heading, Table

COLUMNS = ("claim", "task", "difference", "seeds", "p", "p (Holm)", "verdict")


def claims_blocks(found: Sequence[Verdict]) -> list[Block]:
    """A heading, every claim with its verdict and evidence, and a table of them task by task.

    Nothing where there are no claims; no table where each was tested on one task alone.
    """
    if not found:
        return []
    blocks: list[Block] = [
        Heading(title="Claims"),
        Claims(
            claims=[
                Claim(say=one.claim, verdict=one.verdict, kind=one.kind, lines=[one.evidence])
                for one in found
            ]
        ),
    ]
    if any(len(one.by_task) > 1 for one in found):
        blocks.append(_by_task(found))
    return blocks


def _by_task(found: Sequence[Verdict]) -> Table:
    rows = [
        [
            whole.claim,
            one.task or NOTHING,
            _difference(one),
            Cell(str(one.num_seeds), value=one.num_seeds),
            _p_value(one.p_value),
            _p_value(one.p_holm),
            one.verdict,
        ]
        for whole in found
        for one in whole.by_task
    ]
    return Table(
        name="table-claims",
        title="The claims, task by task",
        columns=COLUMNS,
        rows=rows,
        numbers=frozenset({"difference", "seeds", "p", "p (Holm)"}),
        note="difference: in points [95% interval], between the two arms that decide the claim. "
        "Holm: adjusted for the number of tests in this table, on which these verdicts rest. "
        "no noise: every example and seed says the same, so that there is no interval.",
    )


def _difference(one: Verdict) -> str:
    if one.estimate is None:
        return NOTHING
    if one.low is None or one.high is None:
        return Cell(f"{signed(one.estimate, 2)} (no noise)", value=one.estimate)
    text = f"{one.estimate:+.2f} [{one.low:+.2f}, {one.high:+.2f}]"
    return Cell(text, value=one.estimate, low=one.low, high=one.high)


def _p_value(value: float | None) -> str:
    if value is None:
        return NOTHING
    return Cell(p_words(value).removeprefix("p ").removeprefix("= "), value=value)
