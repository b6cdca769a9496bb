"""The zip that GLUE's server takes: a file of predictions for every task of the benchmark.

A row of a file is the row's place in the test file and the answer, in the words of the server.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from peftlab.core.errors import UserError
from peftlab.core.files import whole_file
from peftlab.core.progress import stage
from peftlab.data.source import open_ref
from peftlab.engine.predict import Predictor
from peftlab.store.records import TrialRecord
from peftlab.tasks.problem import Logits, answers
from peftlab.tasks.registry import TASKS
from peftlab.tasks.spec import Task

FILES = {
    "cola": "CoLA.tsv",
    "sst2": "SST-2.tsv",
    "mrpc": "MRPC.tsv",
    "stsb": "STS-B.tsv",
    "qqp": "QQP.tsv",
    "mnli": "MNLI-m.tsv",
    "mnli-mm": "MNLI-mm.tsv",
    "qnli": "QNLI.tsv",
    "rte": "RTE.tsv",
    "wnli": "WNLI.tsv",
    "ax": "AX.tsv",
}
"""The file of each task in the zip."""
IN_WORDS = frozenset({"mnli", "mnli-mm", "qnli", "rte", "ax"})
"""The tasks whose classes the server takes by name; the others' go by number."""
LOWEST, HIGHEST, DECIMALS = 0.0, 5.0, 3
"""The scores of STS-B."""
SAME_TIME = (1980, 1, 1, 0, 0, 0)
"""The date of every file in the zip, so that the same predictions make the same bytes."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The content of the zip: the trial behind each task's file; and the tasks that have none."""

    path: Path
    seed: int
    trials: Mapping[str, str]
    missing: tuple[str, ...]


def submit(
    records: Sequence[TrialRecord],
    output: Path,
    *,
    seed: int,
    predictor: Predictor,
) -> Submission:
    """Write the zip of an arm's trials of that seed, as a whole or not at all.

    Raises UserError where none of the trials is of a task of GLUE, or test rows cannot be read.
    """
    answered = dict(_answered(records))
    if not answered:
        raise UserError("no trial of a task of GLUE is done", where="submit",
                        allowed=", ".join(FILES))  # fmt: skip
    contents: dict[str, str] = {}
    with stage("predicting the test rows", total=len(answered), unit="files") as predicting:
        for name, record in answered.items():
            predicting.say(FILES[name])
            task = TASKS.get(name)
            rows = [one.texts for one in open_ref(record.trial.data).examples(task, "test")]
            contents[FILES[name]] = table(task, predictor.logits(record, rows))
            predicting.advance()
    with whole_file(output) as stream, zipfile.ZipFile(stream, "w") as archive:
        for file, text in contents.items():
            info = zipfile.ZipInfo(file, date_time=SAME_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, text)
    return Submission(
        path=output,
        seed=seed,
        trials={name: record.trial.id for name, record in answered.items()},
        missing=tuple(name for name in FILES if name not in answered),
    )


def table(task: Task, logits: Logits) -> str:
    """Return the content of a task's file for logits [N, C] of its test rows in their order."""
    found = answers(logits, task.problem_type)
    if task.problem_type == "regression":
        words = [f"{score:.{DECIMALS}f}" for score in np.clip(found, LOWEST, HIGHEST)]
    elif task.name in IN_WORDS:
        words = [task.labels[number] for number in found.tolist()]
    else:
        words = [str(number) for number in found.tolist()]
    lines = ["index\tprediction", *(f"{index}\t{word}" for index, word in enumerate(words))]
    return "".join(f"{line}\n" for line in lines)


def _answered(records: Sequence[TrialRecord]) -> Iterator[tuple[str, TrialRecord]]:
    """Yield each task of GLUE that is done, in the server's order, with its trial."""
    done = {
        record.trial.task: record
        for record in records
        if record.status == "done" and record.trial.definition is None
    }
    for name in FILES:
        record = done.get(TASKS.get(name).answered_by or name)
        if record is not None:
            yield name, record
