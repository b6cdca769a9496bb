"""Tasks of the GLUE benchmark (Wang et al. 2019, arXiv 1804.07461), a row each."""

from __future__ import annotations

from peftlab.tasks.spec import FolderRows, HubRows, Splits, Task, TsvFile

REPOSITORY = "nyu-mll/glue"


def _folder(
    directory: str,
    texts: tuple[str, ...],
    label: str,
    *,
    columns: tuple[str, ...] | None = None,
) -> FolderRows:
    def labelled(name: str) -> TsvFile:
        return TsvFile(name=name, text_columns=texts, label_column=label, columns=columns)

    return FolderRows(
        directory=directory,
        files=Splits(
            train=labelled("train.tsv"),
            dev=labelled("dev.tsv"),
            test=TsvFile(name="test.tsv", text_columns=texts, label_column=None),
        ),
        label_words=("0", "1"),
    )


SST2 = Task(
    name="sst2",
    title="SST-2: sentiment of a sentence from a film review",
    labels=("negative", "positive"),
    metrics=("accuracy",),
    texts=("sentence",),
    num_train=67349,
    num_dev=872,
    hub=HubRows(repository=REPOSITORY, config="sst2", text_columns=("sentence",)),
    folder=_folder("SST-2", ("sentence",), "label"),
)
COLA = Task(
    name="cola",
    title="CoLA: is the sentence acceptable English",
    labels=("unacceptable", "acceptable"),
    metrics=("matthews_correlation",),
    texts=("sentence",),
    num_train=8551,
    num_dev=1043,
    hub=HubRows(repository=REPOSITORY, config="cola", text_columns=("sentence",)),
    # Train and dev have no header line, test has one.
    folder=_folder(
        "CoLA",
        ("sentence",),
        "label",
        columns=("source", "label", "original label", "sentence"),
    ),
)
MRPC = Task(
    name="mrpc",
    title="MRPC: do two sentences from the news say the same",
    labels=("not_equivalent", "equivalent"),
    metrics=("f1", "accuracy"),
    texts=("sentence1", "sentence2"),
    num_train=3668,
    num_dev=408,
    hub=HubRows(repository=REPOSITORY, config="mrpc", text_columns=("sentence1", "sentence2")),
    folder=_folder("MRPC", ("#1 String", "#2 String"), "Quality"),
)

GLUE = (SST2, COLA, MRPC)
