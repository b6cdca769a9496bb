"""What the stand-in serves: a tiny BERT, and rows of the demo's tasks in GLUE's layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from peftlab.core.types import Example
from peftlab.data.demo.source import DemoSource
from peftlab.tasks.demo import ACCEPTABILITY, PARAPHRASE, SENTIMENT
from peftlab.tasks.glue import COLA, MRPC, SST2
from peftlab.tasks.spec import Task
from tests.conftest import write_tiny_checkpoint

MODEL, DATA = "models/google-bert/bert-base-uncased", "datasets/nyu-mll/glue"
ROWS_OF = ((SST2, SENTIMENT), (COLA, ACCEPTABILITY), (MRPC, PARAPHRASE))
FEATURES = """\
- config_name: {config}
  features:
{texts}
  - name: label
    dtype:
      class_label:
        names:
          '0': {labels[0]}
          '1': {labels[1]}
  - name: idx
    dtype: int32
"""


def tiny_bert(folder: Path) -> dict[str, bytes]:
    """The files of a checkpoint, made in that folder; beside them what is not to be downloaded."""
    write_tiny_checkpoint(folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files | {
        "pytorch_model.bin": b"a pickle",
        "onnx/model.onnx": b"",
        "README.md": b"# BERT",
    }


def glue(num_train: int, num_dev: int) -> dict[str, bytes]:
    """README.md and Parquet files of three tasks, laid out like nyu-mll/glue."""
    configs, infos = "configs:\n", "dataset_info:\n"
    files = {}
    for task, demo in ROWS_OF:
        texts = "\n".join(f"  - name: {column}\n    dtype: string" for column in task.texts)
        infos += FEATURES.format(config=task.name, texts=texts, labels=task.labels)
        configs += f"- config_name: {task.name}\n  data_files:\n"
        for split, number in (("train", num_train), ("dev", num_dev)):
            hub_split = "validation" if split == "dev" else split
            configs += f"  - split: {hub_split}\n    path: {task.name}/{hub_split}-*\n"
            rows = DemoSource().examples(demo, split)[:number]
            files[f"{task.name}/{hub_split}-00000-of-00001.parquet"] = parquet(task, rows)
    return files | {"README.md": f"---\n{configs}{infos}---\n# GLUE\n".encode()}


def parquet(task: Task, rows: Sequence[Example]) -> bytes:
    """The rows as a file under the task's names of columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, object] = {
        column: [example.texts[place] for example in rows]
        for place, column in enumerate(task.texts)
    }
    columns["label"] = pa.array([example.label for example in rows], pa.int64())
    columns["idx"] = pa.array(range(len(rows)), pa.int32())
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())
