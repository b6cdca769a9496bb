"""A GLUE folder is read exactly as it is, and any fault is reported in one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peftlab.core.errors import UserError
from peftlab.core.inputs import Example
from peftlab.data.glue_folder import GlueFolder, read_tsv
from peftlab.tasks.glue import COLA, MRPC, SST2
from peftlab.tasks.spec import Task, TsvFile

THREE = (SST2, COLA, MRPC)
SENTENCES = TsvFile(name="train.tsv", text_columns=("sentence",), label_column="label")
PAIRS = TsvFile(name="train.tsv", text_columns=("left", "right"), label_column="label")
HEADLESS = TsvFile(
    name="train.tsv",
    text_columns=("sentence",),
    label_column="label",
    columns=("source", "label", "sentence"),
)
WORDS = ("0", "1")


def read(content: bytes, path: Path, file: TsvFile = SENTENCES) -> list[Example]:
    path.write_bytes(content)
    return read_tsv(path, file, WORDS)


def refusal(content: bytes, path: Path, file: TsvFile = SENTENCES) -> str:
    """Return the one line of the error after the path."""
    with pytest.raises(UserError) as caught:
        read(content, path, file)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


# The real files


@pytest.mark.parametrize(
    ("task", "num_rows"),
    [
        (SST2, {"train": 67349, "dev": 872, "test": 1821}),
        (COLA, {"train": 8551, "dev": 1043, "test": 1063}),
        (MRPC, {"train": 3668, "dev": 408, "test": 1725}),
    ],
    ids=lambda value: value.name if isinstance(value, Task) else "",
)
def test_the_real_files_have_their_published_rows(
    task: Task, num_rows: dict[str, int], glue_folder: Path
) -> None:
    source = GlueFolder(glue_folder)
    for split, expected in num_rows.items():
        examples = source.examples(task, split)
        assert [example.row_id for example in examples] == list(range(expected))
        assert {len(example.texts) for example in examples} == {len(task.texts)}
        assert all(text for example in examples for text in example.texts)
        labels = {example.label for example in examples}
        assert labels == ({None} if split == "test" else {0, 1})


@pytest.mark.parametrize(
    ("task", "split", "place", "texts", "label"),
    [
        (SST2, "train", 0, ("hide new secretions from the parental units ",), 0),
        (SST2, "dev", 1, ("unflinchingly bleak and desperate ",), 0),
        (SST2, "test", 0, ("uneasy mishmash of styles and genres .",), None),
        (COLA, "train", -1, ("What all did you get for Christmas?",), 1),
        (COLA, "dev", 0, ("The sailors rode the breeze clear of the rocks.",), 1),
        (COLA, "dev", -1, ("John talked to Bill about himself.",), 1),
        (COLA, "test", 0, ("Bill whistled past the house.",), None),
    ],
    ids=lambda value: value.name if isinstance(value, Task) else "",
)
def test_the_real_first_and_last_rows_are_these(
    task: Task,
    split: str,
    place: int,
    texts: tuple[str, ...],
    label: int | None,
    glue_folder: Path,
) -> None:
    example = GlueFolder(glue_folder).examples(task, split)[place]
    assert (example.texts, example.label) == (texts, label)


def test_in_the_real_files_a_quote_is_a_quote(glue_folder: Path) -> None:
    examples = GlueFolder(glue_folder).examples(MRPC, "train")
    marks = [example.texts[0].count('"') for example in examples]
    assert marks[0] == 2
    assert any(count % 2 for count in marks)  # a reader that quotes would swallow rows here


@pytest.mark.parametrize("task", THREE, ids=lambda task: task.name)
def test_the_real_rows_equal_a_slow_twin(task: Task, glue_folder: Path) -> None:
    assert task.folder is not None
    file = task.folder.files.dev
    path = glue_folder / task.folder.directory / file.name
    with path.open(encoding="utf-8-sig", newline="\n") as stream:
        table = [line.rstrip("\n").split("\t") for line in stream]
    columns = list(file.columns) if file.columns else table.pop(0)
    assert file.label_column is not None
    expected = [
        (tuple(row[columns.index(name)] for name in file.text_columns), int(label))
        for row in table
        for label in [row[columns.index(file.label_column)]]
    ]
    examples = GlueFolder(glue_folder).examples(task, "dev")
    assert [(example.texts, example.label) for example in examples] == expected


# Little files: what is read


@pytest.mark.parametrize(
    "content",
    [
        b"sentence\tlabel\na b\t1\nc\t0\n",
        b"sentence\tlabel\na b\t1\nc\t0",  # no final newline
        b"sentence\tlabel\r\na b\t1\r\nc\t0\r\n",
        b"sentence\tlabel\r\na b\t1\r\nc\t0",
        b"\xef\xbb\xbfsentence\tlabel\na b\t1\nc\t0\n",
        b"index\tlabel\tsentence\n7\t1\ta b\n9\t0\tc\n",  # by name, wherever the column stands
    ],
    ids=["plain", "no-final-newline", "crlf", "crlf-no-final-newline", "bom", "other-order"],
)
def test_the_same_rows_are_read_however_the_file_is_written(content: bytes, tmp_path: Path) -> None:
    assert read(content, tmp_path / "train.tsv") == [
        Example(row_id=0, texts=("a b",), label=1),
        Example(row_id=1, texts=("c",), label=0),
    ]


def test_a_file_without_a_header_begins_with_its_first_row(tmp_path: Path) -> None:
    assert read(b"gj04\t1\tOne.\ngj04\t0\tTwo.\n", tmp_path / "x.tsv", HEADLESS) == [
        Example(row_id=0, texts=("One.",), label=1),
        Example(row_id=1, texts=("Two.",), label=0),
    ]


def test_a_file_without_labels_gives_none(tmp_path: Path) -> None:
    file = TsvFile(name="test.tsv", text_columns=("sentence",), label_column=None)
    assert read(b"index\tsentence\n0\tOne.\n", tmp_path / "test.tsv", file) == [
        Example(row_id=0, texts=("One.",), label=None)
    ]


def test_quotes_spaces_and_strange_line_ends_are_text(tmp_path: Path) -> None:
    text = " \"a \u2028\x0b\x85\x0c b\rc\ufeff' "
    (example,) = read(f"sentence\tlabel\n{text}\t1\n".encode(), tmp_path / "train.tsv")
    assert example.texts == (text,)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            *[st.text(st.characters(exclude_characters="\t\n", exclude_categories=["Cs"]))] * 2,
            st.integers(0, 1),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_texts_come_back_as_they_were_written(
    rows: list[tuple[str, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = ["left\tlabel\tright\tend", *(f"{a}\t{label}\t{b}\tx" for a, b, label in rows)]
    path = tmp_path_factory.getbasetemp() / "round-trip.tsv"
    examples = read("".join(f"{line}\n" for line in lines).encode(), path, PAIRS)
    assert examples == [
        Example(row_id=row_id, texts=(a, b), label=label)
        for row_id, (a, b, label) in enumerate(rows)
    ]


# Little files: what is refused


def test_a_short_row_is_named_by_its_line(tmp_path: Path) -> None:
    assert refusal(b"sentence\tlabel\na\t1\nb\n", tmp_path / "x.tsv") == (
        ":3: 1 field where there must be 2 (allowed: sentence | label)"
    )


def test_a_long_row_is_named_by_its_line(tmp_path: Path) -> None:
    assert refusal(b"sentence\tlabel\na\tb\t1\n", tmp_path / "x.tsv") == (
        ":2: 3 fields where there must be 2 (allowed: sentence | label)"
    )


def test_a_blank_line_is_a_short_row(tmp_path: Path) -> None:
    assert refusal(b"sentence\tlabel\na\t1\n\nb\t1\n", tmp_path / "x.tsv").startswith(":3: 1 field")


def test_without_a_header_lines_count_from_the_first_row(tmp_path: Path) -> None:
    content = b"gj04\t1\tOne.\ngj04\t1\n"
    assert refusal(content, tmp_path / "x.tsv", HEADLESS) == (
        ":2: 2 fields where there must be 3 (allowed: source | label | sentence)"
    )


@pytest.mark.parametrize("label", ["2", "", " 1", "1.0", "positive", "-1"])
def test_an_unknown_label_is_shown_with_those_that_are_known(label: str, tmp_path: Path) -> None:
    content = f"sentence\tlabel\na\t1\nb\t{label}\n".encode()
    assert refusal(content, tmp_path / "x.tsv") == (
        f":3: column 'label': unknown label {label!r} (allowed: 0, 1)"
    )


def test_a_missing_column_is_shown_with_those_that_are_there(tmp_path: Path) -> None:
    assert refusal(b"text\tlabel\na\t1\n", tmp_path / "x.tsv") == (
        ":1: no column 'sentence' in the header (allowed: it has 'text', 'label')"
    )
    assert refusal(b"sentence\tclass\na\t1\n", tmp_path / "x.tsv") == (
        ":1: no column 'label' in the header (allowed: it has 'sentence', 'class')"
    )


def test_bytes_that_are_not_utf8_are_named_by_line_and_byte(tmp_path: Path) -> None:
    content = "sentence\tlabel\nfine\t1\nnaïve\t0\n".encode("latin-1")
    assert refusal(content, tmp_path / "x.tsv") == (
        ":3: byte 3 of the line (0xef) is not UTF-8 (allowed: UTF-8 text)"
    )


def test_a_header_that_is_not_utf8_is_line_1(tmp_path: Path) -> None:
    content = "sentence\tlabel\na\t1\n".encode("utf-16")
    assert refusal(content, tmp_path / "x.tsv").startswith(":1: byte 1 of the line (0xff)")


@pytest.mark.parametrize(
    "content", [b"", b"\xef\xbb\xbf", b"sentence\tlabel", b"sentence\tlabel\n"]
)
def test_a_file_without_rows_is_refused(content: bytes, tmp_path: Path) -> None:
    words = "the file has no rows" if content else "the file is empty"
    assert refusal(content, tmp_path / "x.tsv") == f": {words}"


def test_an_empty_file_that_needs_no_header_is_refused(tmp_path: Path) -> None:
    assert refusal(b"", tmp_path / "x.tsv", HEADLESS) == ": the file is empty"


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_a_missing_file_is_one_line_that_says_which(split: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        GlueFolder(tmp_path).examples(SST2, split)
    path = tmp_path / "SST-2" / f"{split}.tsv"
    assert str(caught.value) == (
        f"{tmp_path}: the task 'sst2' has no {split} file: {path} is missing "
        f"(allowed: a folder in the layout of GLUE's download script (SST-2/{split}.tsv))"
    )


def test_a_folder_in_the_place_of_a_file_is_one_line(small_glue: Path) -> None:
    path = small_glue / "SST-2" / "train.tsv"
    path.unlink()
    path.mkdir()
    source = GlueFolder(small_glue)
    for read in (lambda: source.ref(SST2), lambda: source.examples(SST2, "train")):
        with pytest.raises(UserError) as caught:
            read()
        assert str(caught.value) == f"{path}: cannot read the file: Is a directory"


@pytest.mark.parametrize("method", ["exists", "read_bytes", "stat"])
def test_a_file_that_may_not_be_read_is_one_line(
    method: str, small_glue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not by chmod: who tests as root may read everything.
    def refuse(path: Path, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    source, path = GlueFolder(small_glue), small_glue / "SST-2" / "train.tsv"
    monkeypatch.setattr(Path, method, refuse)
    with pytest.raises(UserError) as caught:
        source.ref(SST2) if method == "stat" else source.examples(SST2, "train")
    assert str(caught.value) == f"{path}: cannot read the file: Permission denied"


# The digest


def test_the_digest_follows_the_bytes_of_train_and_dev_alone(small_glue: Path) -> None:
    source = GlueFolder(small_glue)
    digest = source.ref(SST2).digest
    train = small_glue / "SST-2" / "train.tsv"
    os.utime(train, (1, 1))
    (small_glue / "SST-2" / "test.tsv").write_text("index\tsentence\n0\tAnother.\n")
    (small_glue / "CoLA" / "train.tsv").write_text("gj04\t1\t\tAnother.\n")
    assert source.ref(SST2).digest == digest
    digests = {digest}
    for name in ("train.tsv", "dev.tsv"):
        path = small_glue / "SST-2" / name
        path.write_bytes(path.read_bytes() + b"more\t1\n")
        digests.add(source.ref(SST2).digest)
    assert len(digests) == 3


def test_the_digest_is_the_same_in_another_place(small_glue: Path, tmp_path: Path) -> None:
    here = GlueFolder(small_glue).ref(MRPC)
    small_glue.rename(tmp_path / "moved")
    there = GlueFolder(tmp_path / "moved").ref(MRPC)
    assert there.digest == here.digest
    assert (here.location, there.location) == (str(small_glue), str(tmp_path / "moved"))


def test_train_and_dev_exchanged_have_another_digest(small_glue: Path) -> None:
    before = GlueFolder(small_glue).ref(MRPC).digest
    folder = small_glue / "MRPC"
    (folder / "train.tsv").rename(folder / "aside")
    (folder / "dev.tsv").rename(folder / "train.tsv")
    (folder / "aside").rename(folder / "dev.tsv")
    assert GlueFolder(small_glue).ref(MRPC).digest != before


def test_a_digest_needs_both_files(small_glue: Path) -> None:
    (small_glue / "CoLA" / "dev.tsv").unlink()
    with pytest.raises(UserError, match="the task 'cola' has no dev file"):
        GlueFolder(small_glue).ref(COLA)
