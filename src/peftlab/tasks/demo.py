"""The three small tasks that come with the package; their rows are made in data/demo/."""

from __future__ import annotations

from peftlab.tasks.spec import Task

NUM_TRAIN = 1200
NUM_DEV = 400

SENTIMENT = Task(
    name="demo-sentiment",
    title="Demo: is the remark favourable",
    labels=("negative", "positive"),
    metrics=("accuracy",),
    texts=("sentence",),
    num_train=NUM_TRAIN,
    num_dev=NUM_DEV,
)
ACCEPTABILITY = Task(
    name="demo-acceptability",
    title="Demo: is the sentence good grammar",
    labels=("unacceptable", "acceptable"),
    metrics=("matthews_correlation", "accuracy"),
    texts=("sentence",),
    num_train=NUM_TRAIN,
    num_dev=NUM_DEV,
)
PARAPHRASE = Task(
    name="demo-paraphrase",
    title="Demo: do two sentences say the same",
    labels=("not_equivalent", "equivalent"),
    metrics=("f1", "accuracy"),
    texts=("sentence1", "sentence2"),
    num_train=NUM_TRAIN,
    num_dev=NUM_DEV,
)

DEMO = (SENTIMENT, ACCEPTABILITY, PARAPHRASE)
