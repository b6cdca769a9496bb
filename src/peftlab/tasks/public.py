"""Well-known sets of single texts, from the Hub: they have no validation split, dev is their test.

That is how papers report them. An epoch is best picked on rows held out of train (`selection`).
"""

from __future__ import annotations

from peftlab.tasks.spec import HubRows, Splits, Task

ON_TEST = Splits[str](train="train", dev="test", test="test")

IMDB = Task(
    name="imdb",
    title="IMDb: sentiment of a film review; dev is the test split",
    labels=("neg", "pos"),
    metrics=("accuracy",),
    texts=("text",),
    num_train=25000,
    num_dev=25000,
    hub=HubRows(
        repository="stanfordnlp/imdb",
        config="plain_text",
        text_columns=("text",),
        splits=ON_TEST,
    ),
)
AG_NEWS = Task(
    name="ag_news",
    title="AG News: the section of a piece of news; dev is the test split",
    labels=("World", "Sports", "Business", "Sci/Tech"),
    metrics=("accuracy",),
    texts=("text",),
    num_train=120000,
    num_dev=7600,
    hub=HubRows(
        repository="fancyzhx/ag_news", config="default", text_columns=("text",), splits=ON_TEST
    ),
)
TREC = Task(
    name="trec",
    title="TREC: what a question asks for, six classes; dev is the test split",
    labels=("ABBR", "ENTY", "DESC", "HUM", "LOC", "NUM"),
    metrics=("accuracy",),
    texts=("text",),
    num_train=5452,
    num_dev=500,
    # The repository holds a loading script, never run; this branch has what it gave, as Parquet.
    hub=HubRows(
        repository="CogComp/trec",
        config="default",
        text_columns=("text",),
        label_column="coarse_label",
        splits=ON_TEST,
        revision="refs/convert/parquet",
    ),
)
YELP_POLARITY = Task(
    name="yelp_polarity",
    title="Yelp: is a review of 3-4 stars or 1-2; dev is the test split",
    labels=("negative", "positive"),
    metrics=("accuracy",),
    texts=("text",),
    num_train=560000,
    num_dev=38000,
    # The Hub calls the classes 1 and 2.
    hub=HubRows(
        repository="fancyzhx/yelp_polarity",
        config="plain_text",
        text_columns=("text",),
        splits=ON_TEST,
    ),
)

PUBLIC = (IMDB, AG_NEWS, TREC, YELP_POLARITY)
