"""Tasks of SuperGLUE (Wang et al. 2019, arXiv 1905.00537) that classify one text or a pair.

From the Hub alone. Its RTE is GLUE's, in another repository.
"""

from __future__ import annotations

from peftlab.tasks.spec import HubRows, Task

REPOSITORY = "aps/super_glue"

BOOLQ = Task(
    name="boolq",
    title="BoolQ: is the answer to a question about a passage yes",
    labels=("False", "True"),
    metrics=("accuracy",),
    texts=("question", "passage"),
    num_train=9427,
    num_dev=3270,
    hub=HubRows(repository=REPOSITORY, config="boolq", text_columns=("question", "passage")),
)
CB = Task(
    name="cb",
    title="CB: does its author hold a clause to be true (entailment of three kinds)",
    labels=("entailment", "contradiction", "neutral"),
    metrics=("accuracy", "f1_macro"),
    texts=("premise", "hypothesis"),
    num_train=250,
    num_dev=56,
    hub=HubRows(repository=REPOSITORY, config="cb", text_columns=("premise", "hypothesis")),
)
SUPERGLUE_RTE = Task(
    name="superglue-rte",
    title="RTE as SuperGLUE has it: does the premise entail the hypothesis",
    labels=("entailment", "not_entailment"),
    metrics=("accuracy",),
    texts=("premise", "hypothesis"),
    num_train=2490,
    num_dev=277,
    hub=HubRows(repository=REPOSITORY, config="rte", text_columns=("premise", "hypothesis")),
)
WIC = Task(
    name="wic",
    title="WiC: has a word the same sense in two sentences (it stands before the first)",
    labels=("False", "True"),
    metrics=("accuracy",),
    texts=("sentence1", "sentence2"),
    num_train=5428,
    num_dev=638,
    hub=HubRows(
        repository=REPOSITORY, config="wic", text_columns=(("word", "sentence1"), "sentence2")
    ),
)

SUPERGLUE = (BOOLQ, CB, SUPERGLUE_RTE, WIC)
