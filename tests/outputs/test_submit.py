"""The files of a submission have exactly the form that GLUE's server takes."""

from __future__ import annotations

import numpy as np
import pytest

from peftlab.outputs.submit import FILES, table
from peftlab.tasks.glue import GLUE
from peftlab.tasks.registry import TASKS

TWO = [[2.0, 1.0], [0.0, 3.0]]
THREE = [[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [0.0, 1.0, 2.0]]


def test_every_task_of_glue_has_its_file_by_the_servers_name() -> None:
    assert set(FILES) == {task.name for task in GLUE}
    assert sorted(FILES.values()) == sorted(
        [
            "AX.tsv", "CoLA.tsv", "MNLI-m.tsv", "MNLI-mm.tsv", "MRPC.tsv", "QNLI.tsv", "QQP.tsv",
            "RTE.tsv", "SST-2.tsv", "STS-B.tsv", "WNLI.tsv",
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("task", "logits", "words"),
    [
        *[(name, TWO, ["0", "1"]) for name in ("cola", "sst2", "mrpc", "qqp", "wnli")],
        *[(name, TWO, ["entailment", "not_entailment"]) for name in ("qnli", "rte")],
        *[
            (name, THREE, ["entailment", "neutral", "contradiction"])
            for name in ("mnli", "mnli-mm", "ax")
        ],
        ("stsb", [[-0.2], [5.01], [3.14159], [2.0]], ["0.000", "5.000", "3.142", "2.000"]),
    ],
)
def test_answers_are_in_the_words_of_the_server_in_the_order_of_the_rows(
    task: str, logits: list[list[float]], words: list[str]
) -> None:
    lines = ["index\tprediction", *(f"{index}\t{word}" for index, word in enumerate(words))]
    expected = "".join(f"{line}\n" for line in lines)
    assert table(TASKS.get(task), np.array(logits, dtype=np.float32)) == expected
