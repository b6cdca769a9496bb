"""Rows in the layout of nyu-mll/glue on the Hub: a card, and a Parquet file per split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from peftlab.core.inputs import Example
from peftlab.tasks.spec import Task

Splits = Mapping[str, Sequence[Example]]
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


def repository(rows: Mapping[Task, Splits]) -> dict[str, bytes]:
    """Return the repository's files by path; a row without a label has -1, as on the Hub."""
    configs, infos = "configs:\n", "dataset_info:\n"
    files = {}
    for task, splits in rows.items():
        texts = "\n".join(f"  - name: {column}\n    dtype: string" for column in task.texts)
        infos += FEATURES.format(config=task.name, texts=texts, labels=task.labels)
        configs += f"- config_name: {task.name}\n  data_files:\n"
        for split, examples in splits.items():
            hub_split = "validation" if split == "dev" else split
            configs += f"  - split: {hub_split}\n    path: {task.name}/{hub_split}-*\n"
            files[f"{task.name}/{hub_split}-00000-of-00001.parquet"] = _parquet(task, examples)
    return files | {"README.md": f"---\n{configs}{infos}---\n# GLUE\n".encode()}


def _parquet(task: Task, examples: Sequence[Example]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, object] = {
        column: [example.texts[place] for example in examples]
        for place, column in enumerate(task.texts)
    }
    labels = [-1 if example.label is None else example.label for example in examples]
    columns["label"] = pa.array(labels, pa.int64())
    columns["idx"] = pa.array(range(len(examples)), pa.int32())
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())
