"""Every task of GLUE is read from files in the exact layout of the download script."""

from __future__ import annotations

from pathlib import Path

import pytest

from peftlab.core.errors import UserError
from peftlab.data.glue_folder import GlueFolder
from peftlab.tasks.glue import AX, MNLI, MNLI_MM, QNLI, QQP, RTE, STSB, WNLI
from peftlab.tasks.spec import Task
from tests.glue.layouts import PAIR, QQP_HEADER, write, write_mnli, write_others


@pytest.fixture
def glue(tmp_path: Path) -> Path:
    write_mnli(tmp_path)
    write_others(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("task", "split", "rows"),
    [
        (STSB, "dev", [(("A plane .", "A jet ."), 4.75)]),
        (STSB, "test", [(("A plane .", "A jet ."), None)]),
        (QQP, "train", [(("How ?", 'Why "so ?'), 1), (("Who ?", "Where ?"), 0)]),
        (QQP, "test", [(("Would ?", "Will ?"), None)]),
        (MNLI, "train", [(("Train one .", "It is"), 1), (('Train "two .', "It is not"), 2)]),
        (MNLI, "dev", [(("matched", "b"), 0)]),
        (MNLI, "test", [(("test matched", "b"), None)]),
        (MNLI_MM, "dev", [(("mismatched", "b"), 0)]),
        (MNLI_MM, "test", [(("test mismatched", "b"), None)]),
        (QNLI, "dev", [(("When ?", "Then ."), 1)]),
        (RTE, "train", [(("a", "b"), 1)]),
        (WNLI, "dev", [(("a", "b"), 1)]),
        (AX, "test", [(("The cat sat .", "It did not ."), None)]),
    ],
    ids=lambda value: value.name if isinstance(value, Task) else None,
)
def test_a_file_in_the_exact_layout_gives_its_rows(
    task: Task, split: str, rows: list[tuple[tuple[str, ...], object]], glue: Path
) -> None:
    examples = GlueFolder(glue).examples(task, split)
    assert [(example.texts, example.label) for example in examples] == rows
    assert [example.row_id for example in examples] == list(range(len(rows)))


def test_a_score_is_a_float_also_where_it_is_written_as_a_whole_number(glue: Path) -> None:
    write(glue, "STS-B/dev.tsv", "sentence1 sentence2 score", ["a", "b", "3"])
    (example,) = GlueFolder(glue).examples(STSB, "dev")
    assert type(example.label) is float


@pytest.mark.parametrize("word", ["", "five", "nan", "inf", "4,5"])
def test_what_is_no_score_is_named_by_file_line_and_column(word: str, glue: Path) -> None:
    write(glue, "STS-B/dev.tsv", "sentence1 sentence2 score", ["a", "b", "3"], ["a", "b", word])
    with pytest.raises(UserError) as caught:
        GlueFolder(glue).examples(STSB, "dev")
    assert str(caught.value) == (
        f"{glue}/STS-B/dev.tsv:3: column 'score': {word!r} is not a score (allowed: a number)"
    )


def test_rows_of_qqp_that_lack_fields_are_left_out_and_counted(glue: Path) -> None:
    source = GlueFolder(glue)
    assert source.left_out(QQP, "train") == 2
    assert source.left_out(RTE, "train") == 0


def test_a_row_with_too_many_fields_or_of_another_task_with_too_few_is_refused(glue: Path) -> None:
    write(glue, "QQP/dev.tsv", QQP_HEADER, ["1", "2", "3", "a", "b", "0", "more"])
    with pytest.raises(UserError, match=r"QQP/dev.tsv:2: 7 field"):
        GlueFolder(glue).examples(QQP, "dev")
    write(glue, "RTE/dev.tsv", f"{PAIR} label", ["0", "a", "entailment"])
    with pytest.raises(UserError, match=r"RTE/dev.tsv:2: 3 field"):
        GlueFolder(glue).examples(RTE, "dev")


def test_a_test_row_of_qqp_that_lacks_a_field_is_refused_for_its_place_counts(glue: Path) -> None:
    write(glue, "QQP/test.tsv", "id question1 question2", ["0", "a", "b"], ["1", "a"])
    with pytest.raises(UserError, match=r"QQP/test.tsv:3: 2 field"):
        GlueFolder(glue).examples(QQP, "test")


def test_annotators_labels_are_not_taken_for_the_gold_one(glue: Path) -> None:
    path = glue / "MNLI" / "dev_matched.tsv"
    path.write_text(path.read_text().replace("\tentailment\n", "\t-\n"))
    with pytest.raises(UserError, match="column 'gold_label': unknown label '-'"):
        GlueFolder(glue).examples(MNLI, "dev")


def test_the_diagnostic_rows_are_found_where_newer_downloads_put_them(glue: Path) -> None:
    (glue / "AX").mkdir()
    (glue / "diagnostic" / "diagnostic.tsv").rename(glue / "AX" / "AX.tsv")
    assert len(GlueFolder(glue).examples(AX, "test")) == 1
    (glue / "AX" / "AX.tsv").unlink()
    with pytest.raises(UserError, match=r"no test file: .*diagnostic/diagnostic.tsv is missing"):
        GlueFolder(glue).examples(AX, "test")


@pytest.mark.parametrize("split", ["train", "dev"])
def test_the_diagnostic_rows_have_one_split(split: str, glue: Path) -> None:
    with pytest.raises(UserError, match=f"no split '{split}' .allowed: test."):
        GlueFolder(glue).examples(AX, split)


def test_the_digest_of_mnli_covers_the_mismatched_dev_rows(glue: Path) -> None:
    digest = GlueFolder(glue).ref(MNLI).digest
    path = glue / "MNLI" / "dev_mismatched.tsv"
    path.write_text(path.read_text().replace("mismatched\tb", "mismatched\tc"))
    assert GlueFolder(glue).ref(MNLI).digest != digest


def test_the_real_scores_of_stsb_are_floats_from_0_to_5(glue_folder: Path) -> None:
    source = GlueFolder(glue_folder)
    sizes = {split: len(source.examples(STSB, split)) for split in ("train", "dev", "test")}
    assert sizes == {"train": 5749, "dev": 1500, "test": 1379}
    labels = [example.label for example in source.examples(STSB, "dev")]
    assert all(type(label) is float and 0 <= label <= 5 for label in labels)
    assert labels[0] == 5.0
