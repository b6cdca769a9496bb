"""The table of sources for a page about several studies or workspaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from peftlab.report.findings.combine import DevRows, LabelledView, dev_rows
from peftlab.report.findings.limits import limit_words
from peftlab.report.pages.blocks import Block, Cell, Heading, Table


def sources_blocks(sources: Sequence[LabelledView]) -> list[Block]:
    """Return a heading with remarks on the comparison, and a table with a row for each source."""
    columns = ["source", "study", "trials done", "tasks", "seeds", "model", "data", "training rows"]
    rows = []
    for source in sources:
        spec, records = source.view.spec, source.view.records
        done = sum(record.status == "done" for record in records)
        limit = spec.max_train_samples
        rows.append(
            [
                source.label,
                spec.name,
                Cell(f"{done:,} of {len(records):,}", value=done),
                ", ".join(spec.tasks),
                str(len(spec.seeds)),
                spec.model,
                spec.data_words + (f" ({spec.split_words})" if spec.split_words else ""),
                "all" if limit is None else Cell(limit_words(limit, spec), value=limit),
            ]
        )
    numbers = frozenset({"trials done", "seeds"})
    table = Table(
        name="table-sources", title="Sources", columns=columns, rows=rows, numbers=numbers
    )
    return [Heading(title="What is compared", text=" ".join(_remarks(sources))), table]


def _remarks(sources: Sequence[LabelledView]) -> list[str]:
    """Return the remarks that a reader needs before comparing."""
    remarks = ["The arms of all sources stand side by side; claims are tested in their own study."]
    by_task: dict[str, dict[DevRows, list[str]]] = {}
    for source in sources:
        for task in source.view.tasks:
            by_rows = by_task.setdefault(task.name, {})
            by_rows.setdefault(dev_rows(source.view, task), []).append(source.label)
    for name, by_rows in by_task.items():
        if len(by_rows) > 1:
            remarks.append(
                f"The dev rows of {name} differ ({_counts(by_rows)}): scores on different rows are "
                "not comparable, so they are shown apart."
            )
        labels = [label for found in by_rows.values() for label in found]
        if len(labels) < len(sources):
            remarks.append(f"Only {', '.join(labels)} measured {name}.")
    limits = dict.fromkeys(source.view.spec.max_train_samples for source in sources)
    if len(limits) > 1:
        remarks.append("They were not trained on the same number of rows.")
    models = dict.fromkeys(source.view.spec.model for source in sources)
    if len(models) > 1:
        remarks.append("They do not adapt the same checkpoint.")
    return remarks


def _counts(by_rows: Mapping[DevRows, Sequence[str]]) -> str:
    return "; ".join(
        f"{', '.join(labels)}: "
        + ("all" if rows.num_rows is None else f"{rows.num_rows:,}")
        + f" rows of data {rows.digest[:8]}"
        for rows, labels in by_rows.items()
    )
