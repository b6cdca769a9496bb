"""The tables of tests: of the claims, task by task, and of each pair of arms."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from peftlab.core.words import counted
from peftlab.report.findings.better_words import better_note
from peftlab.report.findings.evidence import IDENTICAL, signed
from peftlab.report.findings.looks import is_always_valid
from peftlab.report.findings.verdicts import TOO_FEW, Verdict
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import NOTHING, Block, Cell, Claims, Heading, JudgedClaim, Table
from peftlab.stats.compare import Comparison
from peftlab.study.arms import Arm
from peftlab.tasks.spec import Task

NUMBERS = (
    "difference", "seeds", "p", "p (swaps)", "p (flips)", "p (McNemar)", "effect size",
    "wins", "dominance",
)  # fmt: skip

CLAIM_COLUMNS = ("claim", "task", "difference", "seeds", "p", "p (Holm)", "verdict")


def comparisons_table(view: StudyView, arms: Sequence[Arm]) -> Table | None:
    """Return a table with a row for each task and pair of arms; None if no pair can be compared."""
    rows = []
    any_looks = False
    for task in view.tasks:
        for arm, other in itertools.combinations(arms, 2):
            found = view.comparison(arm, other, task)
            if found is not None:
                looked = is_always_valid(view, (arm.name, other.name), [task])
                any_looks |= looked
                found = replace(found, is_always_valid=looked)
                same = _same(view, arm, other, task)
                rows.append([f"{arm.name} - {other.name}", task.name, *_cells(found, same)])
    if not rows:
        return None
    return Table(
        title="Pairs of arms",
        columns=["arms", "task", *NUMBERS],
        rows=rows,
        numbers=frozenset(NUMBERS),
        note=f"{IDENTICAL}: both arms answer every example alike with every seed, so that there is "
        "nothing to test." + better_note(view.tasks),
        meanings={
            "difference": "in points, with its 95% interval in brackets",
            "p": "the p value of no difference, with the noise of seeds and examples; not adjusted "
            "for the number of rows"
            + ("; for any number of looks, where seeds were added after one" if any_looks else ""),
            "p (swaps)": "that of the trained models alone, by exchanging their predictions",
            "p (flips)": "that of the seeds alone, from six seeds on",
            "p (McNemar)": "McNemar's test, for accuracy and one seed",
            "effect size": "Hedges' g over the runs",
            "wins": "how often a run of the first arm is better than one of the second",
            "dominance": "below 0.5 the first arm almost stochastically dominates the second; from "
            "five seeds on",
        },
    )


def _same(view: StudyView, arm: Arm, other: Arm, task: Task) -> str:
    """Return the words that replace an interval if no noise is seen."""
    return IDENTICAL if view.statistics.are_identical(arm.name, other.name, [task]) else "no noise"


def _cells(found: Comparison, same: str) -> list[str]:
    if found.says_nothing:
        told = Cell(f"{signed(found.estimate)} ({same})", value=found.estimate)
        seeds = Cell(str(found.num_seeds), value=found.num_seeds)
        return [told, seeds, *[NOTHING] * (len(NUMBERS) - 2)]
    is_single = found.num_seeds < 2 and not found.num_folds
    told = Cell(f"{signed(found.estimate)} (no noise)", value=found.estimate)
    if found.noise.is_known and not found.has_interval:
        told = Cell(signed(found.estimate), value=found.estimate)
    elif found.noise.is_known:
        interval = f"{signed(found.estimate)} [{signed(found.low)}, {signed(found.high)}]"
        told = Cell(interval, value=found.estimate, low=found.low, high=found.high)
    wins = found.superiority
    return [
        told,
        Cell(str(found.num_seeds), value=found.num_seeds),
        _p_value(None if is_single else found.p_value),
        _p_value(found.swap_p),
        _p_value(found.flip_p),
        _p_value(found.mcnemar_p),
        _number(found.effect_size),
        NOTHING if wins is None else Cell(f"{wins:.0%}", value=100 * wins),
        _number(found.dominance),
    ]


def _p_value(value: float | None) -> str:
    if value is None:
        return NOTHING
    return Cell("< 0.001" if value < 0.001 else f"{value:.3f}", value=value)


def _number(value: float | None) -> str:
    return NOTHING if value is None else Cell(f"{value:.2f}", value=value)


def claims_blocks(found: Sequence[Verdict], num_left_out: int = 0) -> list[Block]:
    """Return a heading, each claim with its verdict and evidence, and a table of claims by task.

    There are no blocks without claims, and no table if each claim was tested on only one task.
    `num_left_out` is the number of claims about arms or tasks that the run leaves out, which have
    no verdict.
    """
    if not found and not num_left_out:
        return []
    out = ""
    if num_left_out:
        is_one = num_left_out == 1
        out = (
            f"{counted(num_left_out, 'claim')} of the study {'is' if is_one else 'are'} "
            f"not judged: {'it speaks' if is_one else 'they speak'} of arms or tasks that this "
            "run leaves out."
        )
    blocks: list[Block] = [Heading(title="Claims", text=out)]
    if found:
        judged = [
            JudgedClaim(say=one.claim, verdict=one.verdict, kind=one.kind, lines=[one.evidence])
            for one in found
        ]
        blocks.append(Claims(claims=judged))
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
            f"{one.verdict} ({one.kind})" if one.kind else one.verdict,
        ]
        for whole in found
        for one in whole.by_task
    ]
    return Table(
        name="table-claims",
        title="The claims, task by task",
        columns=CLAIM_COLUMNS,
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
        # Few runs, tested for any number of looks, have noise but an infinite interval.
        told = "" if one.verdict == TOO_FEW else " (no noise)"
        return Cell(f"{signed(one.estimate)}{told}", value=one.estimate)
    text = f"{signed(one.estimate)} [{signed(one.low)}, {signed(one.high)}]"
    return Cell(text, value=one.estimate, low=one.low, high=one.high)
