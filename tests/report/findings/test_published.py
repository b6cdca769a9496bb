"""Published scores come with everything that a reader must know about them."""

from __future__ import annotations

from peftlab.report.findings.published import published_scores
from peftlab.report.tables.scores import published_table
from peftlab.tasks.metrics.registry import METRICS
from peftlab.tasks.registry import TASKS

GLUE = {"sst2", "cola", "mrpc", "rte", "stsb", "qnli", "mnli", "qqp"}


def test_every_score_has_a_metric_a_split_a_rule_and_a_source() -> None:
    rows = published_scores()
    assert len({(one.key, one.method) for one in rows}) == len(rows) == 9
    for one in rows:
        assert GLUE - {"stsb"} <= set(one.scores) <= GLUE
        assert one.split == "dev"
        for words in (one.key, one.source, one.checkpoint, one.method, one.selection):
            assert words.strip()
        for score in one.scores.values():
            assert 50 < score.value < 100
            assert score.metric in METRICS.names()


def test_the_same_task_by_two_metrics_has_two_columns() -> None:
    table = published_table([TASKS.get("mrpc")], published_scores())
    assert table is not None
    assert {"mrpc f1", "mrpc accuracy"} <= set(table.columns)
    by_source = {(row[0], row[1]): dict(zip(table.columns, row, strict=True)) for row in table.rows}
    bert, roberta = by_source["full", "BERT-base"], by_source["full", "RoBERTa-base"]
    assert (bert["mrpc f1"], bert["mrpc accuracy"]) == ("90.9", "-")
    assert (roberta["mrpc f1"], roberta["mrpc accuracy"]) == ("-", "90.2")
    assert published_table([TASKS.get("demo-sentiment")], published_scores()) is None
