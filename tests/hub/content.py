"""The content of the stand-in: a tiny BERT, and rows of the demo's tasks in GLUE's layout."""

from __future__ import annotations

from pathlib import Path

from peftlab.data.demo.source import DemoSource
from peftlab.tasks.demo import ACCEPTABILITY, PARAPHRASE, SENTIMENT
from peftlab.tasks.glue import COLA, MRPC, SST2
from tests.conftest import write_tiny_checkpoint
from tests.hub.layout import repository

MODEL, DATA = "models/google-bert/bert-base-uncased", "datasets/nyu-mll/glue"
ROWS_OF = ((SST2, SENTIMENT), (COLA, ACCEPTABILITY), (MRPC, PARAPHRASE))


def tiny_bert(folder: Path) -> dict[str, bytes]:
    """Return the files of a checkpoint made in the folder, and others not to be downloaded."""
    write_tiny_checkpoint(folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files | {
        "pytorch_model.bin": b"a pickle",
        "onnx/model.onnx": b"",
        "README.md": b"# BERT",
    }


def glue(num_train: int, num_dev: int) -> dict[str, bytes]:
    """Return README.md and Parquet files of three tasks, laid out like nyu-mll/glue."""
    numbers = {"train": num_train, "dev": num_dev}
    return repository(
        {
            task: {
                split: DemoSource().examples(demo, split)[:number]
                for split, number in numbers.items()
            }
            for task, demo in ROWS_OF
        }
    )
