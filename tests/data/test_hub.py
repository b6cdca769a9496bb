"""A folder laid out like the Hub's repository is read by load_dataset, as the Hub would be."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from peftlab.core.errors import UserError
from peftlab.data.hub import HubSource, text_digest
from peftlab.data.source import open_source
from peftlab.tasks.glue import COLA, MRPC, SST2
from peftlab.tasks.spec import Task

pytest.importorskip("datasets")


THREE = (SST2, COLA, MRPC)


def write_rows(path: Path, columns: dict[str, list[object]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path)


def train_file(folder: Path) -> Path:
    return folder / "sst2" / "train-00000-of-00001.parquet"


def without_features(folder: Path) -> None:
    """Remove the features from the header but keep its configs, as a hand-made repository may."""
    readme = folder / "README.md"
    readme.write_text(readme.read_text().partition("dataset_info:")[0] + "---\n")


def of_train_alone(folder: Path, columns: dict[str, list[object]]) -> HubSource:
    """Return a repository whose sst2 has only the train split, with these columns."""
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: sst2\n  data_files:\n"
        "  - split: train\n    path: sst2/train-*\n---\n"
    )
    write_rows(train_file(folder), columns)
    return HubSource(str(folder))


def refusal(source: HubSource, task: Task, split: str) -> str:
    with pytest.raises(UserError) as caught:
        source.examples(task, split)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize("split", ["train", "dev", "test"])
@pytest.mark.parametrize("task", THREE, ids=lambda task: task.name)
def test_a_folder_in_the_hubs_layout_gives_its_rows(
    task: Task, split: str, small_hub: Path, rows: dict[str, dict[str, list[object]]]
) -> None:
    examples = open_source(f"hub:{small_hub}").examples(task, split)
    assert [(example.texts, example.label) for example in examples] == rows[task.name][split]
    assert [example.row_id for example in examples] == list(range(len(examples)))


def test_labels_are_read_without_their_names_too(small_hub: Path) -> None:
    without_features(small_hub)
    examples = open_source(f"hub:{small_hub}").examples(SST2, "train")
    assert [example.label for example in examples] == [1, 0, 1]


def test_the_digest_covers_texts_and_labels_of_train_and_dev(small_hub: Path) -> None:
    digest = HubSource(str(small_hub)).ref(SST2).digest
    changed = small_hub.rename(small_hub.with_name("changed"))
    assert HubSource(str(changed)).ref(SST2).digest == digest
    texts, idx = ["so-so ", "lovely"], [0, 1]
    digests = {digest}
    for place, columns in enumerate(
        [
            {"sentence": texts, "label": [1, 1], "idx": idx},
            {"sentence": ["so so ", "lovely"], "label": [0, 1], "idx": idx},
        ]
    ):
        changed = changed.rename(small_hub.with_name(f"changed-{place}"))
        write_rows(changed / "sst2" / "validation-00000-of-00001.parquet", columns)  # type: ignore[arg-type]
        digests.add(HubSource(str(changed)).ref(SST2).digest)
    assert len(digests) == 3


def test_without_a_repository_the_tasks_own_is_asked_for_dev_by_its_name_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(*asked: object, revision: str | None) -> None:
        raise UserError(f"{asked}")

    monkeypatch.setattr("peftlab.data.hub.load_split", answer)
    assert refusal(HubSource(), MRPC, "dev") == "('nyu-mll/glue', 'mrpc', 'validation')"


def test_a_wrong_column_is_shown_with_those_that_are_there(small_hub: Path) -> None:
    source = of_train_alone(small_hub, {"text": ["a"], "label": [0]})
    assert refusal(source, SST2, "train") == (
        f"{small_hub}/sst2 train: no column 'sentence' (allowed: it has text, label)"
    )


def test_columns_other_than_the_header_says_are_one_line(small_hub: Path) -> None:
    write_rows(train_file(small_hub), {"text": ["a"], "label": [0], "idx": [0]})
    message = refusal(HubSource(str(small_hub)), SST2, "train")
    assert message.startswith(f"data: cannot load 'sst2' from {small_hub}: ")
    assert "Couldn't cast text: string" in message
    assert "because column names don't match" in message


def test_a_null_text_is_named_by_its_row(small_hub: Path) -> None:
    write_rows(train_file(small_hub), {"sentence": ["a", None], "label": [0, 1], "idx": [0, 1]})
    assert refusal(HubSource(str(small_hub)), SST2, "train") == (
        f"{small_hub}/sst2 train row 1: None is not a text"
    )


def test_a_number_where_a_text_must_be_is_named_by_its_row(small_hub: Path) -> None:
    source = of_train_alone(small_hub, {"sentence": [7], "label": [0]})
    assert refusal(source, SST2, "train") == (f"{small_hub}/sst2 train row 0: 7 is not a text")


@pytest.mark.parametrize(("label", "shown"), [(2, "2"), (-2, "-2"), (0.5, "0.5"), ("1", "'1'")])
def test_a_label_out_of_range_is_named_by_its_row(
    label: object, shown: str, small_hub: Path
) -> None:
    source = of_train_alone(small_hub, {"sentence": ["a"], "label": [label]})
    assert refusal(source, SST2, "train") == (
        f"{small_hub}/sst2 train row 0: unknown label {shown} (allowed: 0 to 1)"
    )


def test_a_file_that_is_broken_says_why(small_hub: Path) -> None:
    train_file(small_hub).write_bytes(b"no parquet")
    message = refusal(HubSource(str(small_hub)), SST2, "train")
    assert message.startswith(f"data: cannot load 'sst2' from {small_hub}: ")
    assert "Parquet" in message


def test_a_config_that_the_repository_lacks_is_one_line(small_hub: Path) -> None:
    readme = small_hub / "README.md"
    readme.write_text(readme.read_text().replace("config_name: cola", "config_name: other"))
    message = refusal(HubSource(str(small_hub)), COLA, "train")
    assert message.startswith(f"data: cannot load 'cola' from {small_hub}: ")
    assert "'sst2'" in message


def test_a_split_that_the_repository_lacks_is_one_line(small_hub: Path) -> None:
    (small_hub / "sst2" / "validation-00000-of-00001.parquet").unlink()
    assert "cannot load 'sst2'" in refusal(HubSource(str(small_hub)), SST2, "dev")


def test_an_empty_split_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    # Of most kinds of file datasets itself says that they are empty.
    empty = datasets.Dataset.from_dict({"sentence": [], "label": []})
    monkeypatch.setattr("peftlab.data.hub.load_split", lambda *_, **__: empty)
    source = HubSource("someone/empty")
    assert refusal(source, SST2, "train") == "someone/empty/sst2 train: the split has no rows"


def test_a_file_that_holds_a_header_alone_is_one_line(small_hub: Path) -> None:
    source = of_train_alone(small_hub, {"sentence": ["a"], "label": [0]})
    train_file(small_hub).unlink()
    (small_hub / "sst2" / "train-0.csv").write_text("sentence,label\n")
    assert "corresponds to no data" in refusal(source, SST2, "train")


def named(folder: Path, first: str, second: str) -> HubSource:
    """Return the repository with these names for classes 0 and 1 of sst2."""
    readme = folder / "README.md"
    text = readme.read_text().replace("'0': negative", f"'0': {first}")
    readme.write_text(text.replace("'1': positive", f"'1': {second}"))
    return HubSource(str(folder))


def test_classes_in_another_order_than_the_tasks_are_one_line(small_hub: Path) -> None:
    assert refusal(named(small_hub, "Positive", "Negative"), SST2, "train") == (
        f"{small_hub}/sst2 train: the classes are in another order than the task's: "
        "Positive, Negative (allowed: negative, positive)"
    )


@pytest.mark.parametrize("names", [("Negative", "POSITIVE"), ("bad", "good"), ("positive", "good")])
def test_classes_under_other_names_are_taken_in_their_order(
    names: tuple[str, str], small_hub: Path
) -> None:
    examples = named(small_hub, *names).examples(SST2, "train")
    assert [example.label for example in examples] == [1, 0, 1]


def test_what_datasets_logs_does_not_stand_beside_our_line(
    small_hub: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    # Its loggers do not propagate: hear them at their own root.
    library = datasets.logging.get_logger()
    monkeypatch.setattr(library, "handlers", [caplog.handler])
    before = datasets.logging.get_verbosity()
    train_file(small_hub).write_bytes(b"no parquet")
    refusal(HubSource(str(small_hub)), SST2, "train")
    assert caplog.records == []
    assert datasets.logging.get_verbosity() == before


@pytest.mark.parametrize(
    ("repository", "words"),
    [
        (
            "nobody/no-such-rows",
            "offline: the dataset 'nobody/no-such-rows' is not in the",
        ),
        ("a/b/c", "the dataset 'a/b/c': Repo id must be"),
        ("two words", "the dataset 'two words': Repo id must"),
        ("./nowhere", "the dataset './nowhere': Repo id must"),
    ],
)
def test_a_repository_that_cannot_be_reached_is_one_line(repository: str, words: str) -> None:
    message = refusal(HubSource(repository), SST2, "train")
    assert words in message
    assert "hub:FOLDER" in message


def test_texts_have_a_digest_of_their_lengths_and_bytes_in_whatever_pieces_they_come() -> None:
    import pyarrow as pa

    texts = ["a fine film", "", "naïve — 猫", "ab", "c"]
    encoded = [text.encode() for text in texts]
    lengths = b"".join(len(text).to_bytes(8, "little") for text in encoded)
    expected = sha256(lengths + b"".join(encoded)).hexdigest()
    whole = pa.array(["before", *texts, "after"])[1:-1]
    for column in (
        pa.chunked_array([texts]),
        pa.chunked_array([whole]),
        pa.chunked_array([texts[:2], [], texts[2:]], pa.large_string()),
        pa.chunked_array([pa.array(texts, pa.string_view())]),
    ):
        assert text_digest(column) == expected
    assert text_digest(pa.chunked_array([[*texts[:3], "abc", ""]])) != expected
    assert text_digest(pa.chunked_array([[""]])) == sha256(bytes(8)).hexdigest()


MERGES = "a0: &a0 {x: 1}\n" + "\n".join(
    f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n  k{n}: 1" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("a: !!python/object/apply:os.mkdir [x]", "could not determine a constructor"),
        ("a: [1", "expected ',' or ']'"),
        ("a: &loop [*loop]", "nested more than 50 deep"),
        ("configs: {a: [}", "expected"),
        ("a: " + "1:" * 400 + "5.0", "too large a number"),
        (MERGES, "more than 100,000 keys are merged"),
    ],
)
def test_a_readme_whose_header_is_damaged_is_named(
    header: str, words: str, small_hub: Path
) -> None:
    (small_hub / "README.md").write_text(f"---\n{header}\n---\n")
    line = refusal(open_source(f"hub:{small_hub}"), SST2, "train")
    assert line.startswith(str(small_hub / "README.md"))
    assert words in line
