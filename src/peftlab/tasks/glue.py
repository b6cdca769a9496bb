"""Tasks of the GLUE benchmark (Wang et al. 2019, arXiv 1804.07461), a row each.

`mnli-mm`, the mismatched half of MNLI's dev and test, and `ax`, the diagnostic rows, have no
training of their own: trials of `mnli` answer them (docs/decisions/0012).
"""

from __future__ import annotations

from peftlab.tasks.spec import FolderRows, HubRows, Splits, Task, TsvFile

REPOSITORY = "nyu-mll/glue"
ENTAILED = ("entailment", "not_entailment")
THREE_WAY = ("entailment", "neutral", "contradiction")


def _hub(config: str, *texts: str) -> HubRows:
    return HubRows(repository=REPOSITORY, config=config, text_columns=texts)


def _folder(
    directory: str,
    texts: tuple[str, ...],
    label: str,
    words: tuple[str, ...] = ("0", "1"),
    *,
    columns: tuple[str, ...] | None = None,
    dev: str = "dev.tsv",
    test: str = "test.tsv",
    may_lack_fields: bool = False,
) -> FolderRows:
    def labelled(name: str) -> TsvFile:
        return TsvFile(
            name=name,
            text_columns=texts,
            label_column=label,
            columns=columns,
            may_lack_fields=may_lack_fields,
        )

    return FolderRows(
        directory=directory,
        files=Splits(
            train=labelled("train.tsv"),
            dev=labelled(dev),
            test=TsvFile(name=test, text_columns=texts, label_column=None),
        ),
        label_words=words,
    )


COLA = Task(
    name="cola",
    title="CoLA: is the sentence acceptable English",
    labels=("unacceptable", "acceptable"),
    metrics=("matthews_correlation",),
    texts=("sentence",),
    num_train=8551,
    num_dev=1043,
    hub=_hub("cola", "sentence"),
    # Train and dev have no header line, test has one.
    folder=_folder(
        "CoLA",
        ("sentence",),
        "label",
        columns=("source", "label", "original label", "sentence"),
    ),
)
SST2 = Task(
    name="sst2",
    title="SST-2: sentiment of a sentence from a film review",
    labels=("negative", "positive"),
    metrics=("accuracy",),
    texts=("sentence",),
    num_train=67349,
    num_dev=872,
    hub=_hub("sst2", "sentence"),
    folder=_folder("SST-2", ("sentence",), "label"),
)
MRPC = Task(
    name="mrpc",
    title="MRPC: do two sentences from the news say the same",
    labels=("not_equivalent", "equivalent"),
    metrics=("f1", "accuracy"),
    texts=("sentence1", "sentence2"),
    num_train=3668,
    num_dev=408,
    hub=_hub("mrpc", "sentence1", "sentence2"),
    folder=_folder("MRPC", ("#1 String", "#2 String"), "Quality"),
)
STSB = Task(
    name="stsb",
    title="STS-B: how alike two sentences are in meaning, from 0 to 5",
    labels=(),
    metrics=("pearson", "spearman"),
    texts=("sentence1", "sentence2"),
    num_train=5749,
    num_dev=1500,
    problem_type="regression",
    hub=_hub("stsb", "sentence1", "sentence2"),
    folder=_folder("STS-B", ("sentence1", "sentence2"), "score", ()),
)
QQP = Task(
    name="qqp",
    title="QQP: do two questions from Quora ask the same",
    labels=("not_duplicate", "duplicate"),
    metrics=("f1", "accuracy"),
    texts=("question1", "question2"),
    num_train=363846,
    num_dev=40430,
    hub=_hub("qqp", "question1", "question2"),
    # Some rows of the published files lack fields.
    folder=_folder("QQP", ("question1", "question2"), "is_duplicate", may_lack_fields=True),
)
MNLI_MM = Task(
    name="mnli-mm",
    title="MNLI mismatched: the same on kinds of text that train has not",
    labels=THREE_WAY,
    metrics=("accuracy",),
    texts=("premise", "hypothesis"),
    num_train=392702,
    num_dev=9832,
    hub=HubRows(
        repository=REPOSITORY,
        config="mnli",
        text_columns=("premise", "hypothesis"),
        splits=Splits(train="train", dev="validation_mismatched", test="test_mismatched"),
    ),
    folder=_folder(
        "MNLI",
        ("sentence1", "sentence2"),
        "gold_label",
        THREE_WAY,
        dev="dev_mismatched.tsv",
        test="test_mismatched.tsv",
    ),
    answered_by="mnli",
)
MNLI = Task(
    name="mnli",
    title="MNLI: does a premise entail a hypothesis; dev is the matched one",
    labels=THREE_WAY,
    metrics=("accuracy",),
    texts=("premise", "hypothesis"),
    num_train=392702,
    num_dev=9815,
    hub=HubRows(
        repository=REPOSITORY,
        config="mnli",
        text_columns=("premise", "hypothesis"),
        splits=Splits(train="train", dev="validation_matched", test="test_matched"),
    ),
    folder=_folder(
        "MNLI",
        ("sentence1", "sentence2"),
        "gold_label",
        THREE_WAY,
        dev="dev_matched.tsv",
        test="test_matched.tsv",
    ),
    also_on=(MNLI_MM,),
)
QNLI = Task(
    name="qnli",
    title="QNLI: does a sentence of Wikipedia hold the answer to a question",
    labels=ENTAILED,
    metrics=("accuracy",),
    texts=("question", "sentence"),
    num_train=104743,
    num_dev=5463,
    hub=_hub("qnli", "question", "sentence"),
    folder=_folder("QNLI", ("question", "sentence"), "label", ENTAILED),
)
RTE = Task(
    name="rte",
    title="RTE: does the first text entail the second",
    labels=ENTAILED,
    metrics=("accuracy",),
    texts=("sentence1", "sentence2"),
    num_train=2490,
    num_dev=277,
    hub=_hub("rte", "sentence1", "sentence2"),
    folder=_folder("RTE", ("sentence1", "sentence2"), "label", ENTAILED),
)
WNLI = Task(
    name="wnli",
    title="WNLI: does a sentence follow from another by what its pronoun means",
    labels=("not_entailment", "entailment"),
    metrics=("accuracy",),
    texts=("sentence1", "sentence2"),
    num_train=635,
    num_dev=71,
    hub=_hub("wnli", "sentence1", "sentence2"),
    folder=_folder("WNLI", ("sentence1", "sentence2"), "label"),
)
AX = Task(
    name="ax",
    title="AX: diagnostic rows of entailment, whose labels the GLUE server keeps",
    labels=THREE_WAY,
    metrics=("matthews_correlation",),
    texts=("premise", "hypothesis"),
    num_train=0,
    num_dev=0,
    hub=HubRows(
        repository=REPOSITORY,
        config="ax",
        text_columns=("premise", "hypothesis"),
        splits=Splits(test="test"),
    ),
    folder=FolderRows(
        directory=".",
        files=Splits(
            test=TsvFile(
                name="diagnostic/diagnostic.tsv",
                text_columns=("sentence1", "sentence2"),
                label_column=None,
                other_names=("AX/AX.tsv", "AX/test.tsv", "AX.tsv"),
            )
        ),
        label_words=THREE_WAY,
    ),
    answered_by="mnli",
)

GLUE = (COLA, SST2, MRPC, STSB, QQP, MNLI, MNLI_MM, QNLI, RTE, WNLI, AX)
