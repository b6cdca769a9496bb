"""A column of labels is read as it is written: lists, 0 and 1, decimal commas, names of classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from peftlab.core.errors import UserError
from peftlab.data.own_labels import notation_of
from tests.data.test_own_files import files_of, opened, write

SEVERAL = "multi_label_classification"


def labels_in(path: Path, /, *, separator: str = ",", **asked: Any) -> tuple[Any, list[Any]]:
    source, task = opened(files_of(path, separator=separator), **asked)
    return task, [row.label for row in source.examples(task, "train")]


def csv_of(path: Path, cells: list[str]) -> Path:
    quoted = (cell.replace('"', '""') for cell in cells)
    path.write_text("body,mood\n" + "".join(f'x,"{cell}"\n' for cell in quoted))
    return path


VECTORS = [[0, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize("form", [int, float, bool, str])
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_list_of_0_and_1_has_a_label_for_each_place(
    form: type, ending: str, tmp_path: Path
) -> None:
    rows = [{"body": "x", "mood": [form(value) for value in row]} for row in VECTORS]
    if form is str:
        rows = [{"body": "x", "mood": [str(value) for value in row]} for row in VECTORS]
    task, labels = labels_in(write(tmp_path / f"t.{ending}", rows))
    assert (task.problem_type, task.labels) == (SEVERAL, ("0", "1", "2"))
    assert labels == [tuple(row) for row in VECTORS]


@pytest.mark.parametrize("form", ["[0, 1]", "[0 1]", "[0. 1.]", "[False, True]", "[false, true]"])
def test_such_a_list_written_into_a_csv_is_the_same(form: str, tmp_path: Path) -> None:
    zero, one = form.strip("[]").replace(",", "").split()
    between = ", " if "," in form else " "
    words = [[(zero, one)[value] for value in row] for row in VECTORS]
    cells = [f"[{between.join(row)}]" for row in words]
    task, labels = labels_in(csv_of(tmp_path / "t.csv", cells))
    assert (task.problem_type, task.num_labels) == (SEVERAL, 3)
    assert labels == [tuple(row) for row in VECTORS]


def test_places_get_names_and_as_many_as_there_are(tmp_path: Path) -> None:
    rows = [{"body": "x", "mood": row} for row in VECTORS]
    path = write(tmp_path / "t.jsonl", rows)
    task, labels = labels_in(path, labels=("joy", "fear", "awe"))
    assert (task.labels, labels[0]) == (("joy", "fear", "awe"), (0, 1, 0))
    with pytest.raises(UserError, match=r"own.labels: 2 names for lists of 3 values"):
        labels_in(path, labels=("0", "1"))


@pytest.mark.parametrize("odd", [[0, 1], [], [0, 1, 0, 0]])
def test_lists_of_0_and_1_of_another_length_are_refused_with_their_line(
    odd: list[int], tmp_path: Path
) -> None:
    rows = [{"body": "x", "mood": row} for row in (*VECTORS, odd)]
    with pytest.raises(UserError, match=rf"jsonl:5: column 'mood': a list of {len(odd)} where "):
        labels_in(write(tmp_path / "t.jsonl", rows))


def test_lists_that_hold_the_labels_0_and_1_at_most_once_are_still_labels(tmp_path: Path) -> None:
    rows = [{"body": "x", "mood": own} for own in ([0], [1], [0, 1], [])]
    task, labels = labels_in(write(tmp_path / "t.jsonl", rows))
    assert (task.labels, labels) == (("0", "1"), [(1, 0), (0, 1), (1, 1), (0, 0)])


def test_two_places_are_other_data_than_two_labels_of_the_same_names(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [{"body": "x", "mood": own} for own in ([0, 1], [1, 1])])
    source, task = opened(files_of(path), labels=("0", "1"))
    assert [row.label for row in source.examples(task, "train")] == [(0, 1), (1, 1)]
    before = source.ref(task).digest
    path.write_text(path.read_text().replace("[1, 1]", "[0, 1]"))
    assert source.ref(task).digest != before


@pytest.mark.parametrize("cells", [[[0.2, 0.8], [0.5, 0.5]], [[2, 2, 3], [1, 0, 1]]])
def test_lists_of_other_numbers_are_no_labels(cells: list[Any], tmp_path: Path) -> None:
    rows = [{"body": "x", "mood": own} for own in cells]
    with pytest.raises(UserError, match="holds neither labels nor 0 or 1 for each"):
        labels_in(write(tmp_path / "t.jsonl", rows))


@pytest.mark.parametrize(
    "cells",
    [
        ['["joy"]', '["joy", "fear"]', "[]"],
        ["['joy']", "['joy', 'fear']", "[]"],
        ["['joy']", "['joy' 'fear']", "[]"],
        ['["joy"]', '["fear", "joy"]', ""],
    ],
)
def test_lists_written_as_text_are_lists(cells: list[str], tmp_path: Path) -> None:
    task, labels = labels_in(csv_of(tmp_path / "t.csv", cells))
    assert (task.problem_type, task.labels) == (SEVERAL, ("fear", "joy"))
    assert labels == [(0, 1), (1, 1), (0, 0)]


def test_a_text_that_is_no_list_among_lists_is_refused_with_its_line(tmp_path: Path) -> None:
    path = csv_of(tmp_path / "t.csv", ['["joy"]', '["fear"]', '["joy"', '["joy", "fear"]'])
    with pytest.raises(UserError) as caught:
        labels_in(path)
    assert "column 'mood': '[\"joy\"' is not a list, but the other labels are" in str(caught.value)


@pytest.mark.parametrize(
    "cells",
    [
        ["[joy]", "[joy, fear]", "[]"], ["('joy',)", "('joy', 'fear')", "()"],
        ["{'joy'}", "{'fear', 'joy'}", "set()"], ["{joy}", "{joy,fear}", "{}"],
        ["array(['joy'], dtype=object)", "array(['joy', 'fear'])", "array([], dtype=object)"],
        ["[np.str_('joy')]", "[np.str_('fear'), np.str_('joy')]", "[]"],
    ],
)  # fmt: skip
def test_lists_of_other_programs_are_the_same_lists(cells: list[str], tmp_path: Path) -> None:
    task, labels = labels_in(csv_of(tmp_path / "t.csv", cells))
    assert (task.problem_type, task.labels) == (SEVERAL, ("fear", "joy"))
    assert labels == [(0, 1), (1, 1), (0, 0)]


@pytest.mark.parametrize("odd", ["[]", "{'joy': 1}", "['joy' ... 'awe']", "[joy, fear]", "['joy'"])
def test_a_list_or_an_object_among_words_is_refused_with_its_line(odd: str, tmp_path: Path) -> None:
    path = csv_of(tmp_path / "t.csv", ["joy", "fear", "joy", odd])
    with pytest.raises(UserError) as caught:
        labels_in(path)
    assert f"t.csv:5: column 'mood': {odd!r} is not a word, but" in str(caught.value)
    assert "a list in each cell" in str(caught.value)
    with pytest.raises(UserError, match=r"t.csv:5: .* stands in brackets, where other labels are"):
        labels_in(path, problem_type=SEVERAL)
    task, _ = labels_in(path, problem_type="single_label_classification")
    assert odd in task.labels  # the study says that they are words


def test_objects_alone_are_refused_with_their_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"t.csv:2: column 'mood': \"{'a': 1}\" is not a word"):
        labels_in(csv_of(tmp_path / "t.csv", ["{'a': 1}", "{'b': 1}"]))
    path = write(tmp_path / "t.jsonl", [{"body": "x", "mood": {"a": n}} for n in range(2)])
    with pytest.raises(UserError, match=r"jsonl:1: column 'mood': {'a': 0} is not a label"):
        labels_in(path)


def test_a_list_in_the_quotes_of_csv_in_a_tsv_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text('body\tmood\nx\t"[""joy""]"\ny\t"[""joy"", ""fear""]"\n')
    with pytest.raises(UserError, match=r"t.tsv:2: column 'mood': .* is not a word"):
        labels_in(path)


def test_classes_in_brackets_are_words(tmp_path: Path) -> None:
    task, _ = labels_in(csv_of(tmp_path / "t.csv", ["[spam]", "[ham]", "[spam]"]))
    assert (task.problem_type, task.labels) == ("single_label_classification", ("[ham]", "[spam]"))


def test_vectors_between_separators_are_vectors_where_several_labels_are_said(
    tmp_path: Path,
) -> None:
    path = csv_of(tmp_path / "t.csv", ["0|1|0", "1|0|0"])
    task, labels = labels_in(path, separator="|", problem_type=SEVERAL)
    assert (task.labels, labels) == (("0", "1", "2"), [(0, 1, 0), (1, 0, 0)])


@pytest.mark.parametrize(
    ("cells", "scores"),
    [
        (["1,5", "2", "-0,5"], [1.5, 2.0, -0.5]),
        (["0,0", "1,1", "2,2"], [0.0, 1.1, 2.2]),
        (["1 234,5", "7", "1.234,5"], [1234.5, 7.0, 1234.5]),
        (["0,125", "1,234"], [0.125, 1.234]),
    ],
)
def test_numbers_with_decimal_commas_are_scores(
    cells: list[str], scores: list[float], tmp_path: Path
) -> None:
    task, labels = labels_in(csv_of(tmp_path / "t.csv", cells))
    assert (task.problem_type, labels) == ("regression", scores)


def test_commas_that_may_stand_between_thousands_are_no_scores(tmp_path: Path) -> None:
    path = csv_of(tmp_path / "t.csv", ["1,234", "2,500"])
    assert labels_in(path)[0].problem_type == "single_label_classification"
    with pytest.raises(UserError, match=r"t.csv:2: column 'mood': '1,234' is not a score"):
        labels_in(path, problem_type="regression")


@pytest.mark.parametrize(("cells", "bad"), [
    (["1,5", "2.5"], "'2.5'"),
    *((["0.5", odd], f"'{odd}'") for odd in ("nan", "inf", "-inf", "Infinity", "1e400")),
    *((["0,5", odd], f"'{odd}'") for odd in ("nan", "inf", "-Infinity", "1e400")),
])  # fmt: skip
def test_a_number_written_otherwise_and_a_missing_one_are_refused_with_their_line(
    cells: list[str], bad: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=rf"t.csv:3: column 'mood': {bad} is not a score"):
        labels_in(csv_of(tmp_path / "t.csv", cells))


@pytest.mark.parametrize("odd", ["Infinity", "-Infinity", "1e400", "9" * 400, "NaN"])
def test_a_score_in_json_that_is_not_finite_is_refused_with_its_line(
    odd: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(f'{{"body": "a", "mood": 0.5}}\n{{"body": "b", "mood": {odd}}}\n')
    with pytest.raises(
        UserError, match=r"t.jsonl:2: column 'mood': .* is not a score .*a finite num"
    ):
        labels_in(path)


def test_labels_that_are_said_of_a_column_of_scores_name_it_and_its_file(tmp_path: Path) -> None:
    path = csv_of(tmp_path / "t.csv", ["0.5", "1"])
    with pytest.raises(UserError, match=r"labels: .* and the column 'mood' of t.csv holds scores"):
        labels_in(path, labels=("0.5", "1"))


def test_an_infinite_number_among_words_is_a_word(tmp_path: Path) -> None:
    task, _ = labels_in(csv_of(tmp_path / "t.csv", ["inf", "sup"]))
    assert task.labels == ("inf", "sup")


def test_a_slip_among_decimal_commas_is_refused_and_labels_of_several_digits_are_none(
    tmp_path: Path,
) -> None:
    path = csv_of(tmp_path / "t.csv", ["0,5", "1,5", "2,5"] * 10 + ["0,5,1"])
    with pytest.raises(
        UserError, match=r"t.csv:32: .* '0,5,1' is not a score .*, with a decimal co"
    ):
        labels_in(path)
    path = csv_of(tmp_path / "t.csv", ["0,5", "0,5,1", "2"] * 10)
    assert labels_in(path)[0].problem_type == "single_label_classification"
    assert labels_in(path, problem_type=SEVERAL)[0].labels == ("0", "1", "2", "5")


def test_the_kind_that_is_said_is_kept(tmp_path: Path) -> None:
    path = csv_of(tmp_path / "t.csv", ["1,5", "2,7"])
    task, labels = labels_in(path, problem_type=SEVERAL)
    assert (task.labels, labels[1]) == (("1", "2", "5", "7"), (0, 1, 0, 1))
    task, _ = labels_in(path, problem_type="single_label_classification")
    assert task.labels == ("1,5", "2,7")
    assert notation_of([("a",), (["b"],)], ",").problem_type == SEVERAL


def test_columns_of_0_and_1_may_be_written_as_fractions(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("body,rude,loud\nx,0.0,1.0\ny,1.0,0\nz,True,1.\n")
    source, task = opened(files_of(path, label=("rude", "loud")))
    assert [row.label for row in source.examples(task, "train")] == [(0, 1), (1, 0), (1, 1)]


CLASS = {"names": ["neg", "pos"], "_type": "ClassLabel"}


def class_file(path: Path, cells: list[Any], feature: Any) -> Path:
    table = pa.table({"body": [f"text {n}" for n in range(len(cells))], "mood": cells})
    info = {"info": {"features": {"mood": feature, "body": {"_type": "Value"}}}}
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(info)}), path)
    return path


def test_names_of_classes_in_a_parquet_file_are_the_labels(tmp_path: Path) -> None:
    path = class_file(tmp_path / "t.parquet", [1, 0, 1], CLASS)
    task, labels = labels_in(path)
    assert (task.labels, labels) == (("neg", "pos"), [1, 0, 1])
    task, labels = labels_in(path, labels=("pos", "neg"))
    assert (task.labels, labels) == (("pos", "neg"), [0, 1, 0])
    task, labels = labels_in(path, labels=("0", "1"))  # as numbers, where the study says so
    assert (task.labels, labels) == (("0", "1"), [1, 0, 1])


@pytest.mark.parametrize(
    "feature",
    [
        {"feature": CLASS, "_type": "List"}, {"feature": CLASS, "_type": "Sequence"},
        {"feature": CLASS, "length": -1, "_type": "LargeList"}, [CLASS],
    ],
)  # fmt: skip
def test_so_are_those_of_lists_of_classes(feature: Any, tmp_path: Path) -> None:
    task, labels = labels_in(class_file(tmp_path / "t.parquet", [[1], [], [0, 1]], feature))
    assert (task.problem_type, task.labels) == (SEVERAL, ("neg", "pos"))
    assert labels == [(0, 1), (0, 0), (1, 1)]


def test_a_flag_for_each_class_is_no_list_of_classes(tmp_path: Path) -> None:
    """If it were read as class numbers, [0, 0, 1] would be the first and the second class."""
    feature = {"feature": {**CLASS, "names": ["joy", "fear", "anger"]}, "_type": "List"}
    with pytest.raises(UserError, match=r"t.parquet:2: column 'mood': the list \[0, 0, 1\] has a"):
        labels_in(class_file(tmp_path / "t.parquet", [[1, 0], [0, 0, 1]], feature))


def test_dev_has_its_own_order_of_names(tmp_path: Path) -> None:
    train = class_file(tmp_path / "t.parquet", [1, 0], CLASS)
    turned = {**CLASS, "names": ["pos", "neg"]}
    dev = class_file(tmp_path / "d.parquet", [1, 0], turned)
    source, task = opened(files_of(train, dev=str(dev)))
    assert [row.label for row in source.examples(task, "dev")] == [0, 1]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (-1, "no label but -1, which is how datasets writes that there is no label"),
        (2, "2 is no class (allowed: 0 to 1, as the metadata name them)"),
        (None, "no label (allowed: a word or a finite number, or missing: drop"),
    ],
)
def test_a_number_without_a_name_is_no_label(cell: int | None, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        labels_in(class_file(tmp_path / "t.parquet", [1, cell, 0], CLASS))
    assert f"t.parquet:2: column 'mood': {words}" in str(caught.value)


@pytest.mark.parametrize("names", [["neg", "neg"], ["neg", "pos", "neg"]])
def test_a_name_that_two_classes_have_is_refused_where_it_is_read(
    names: list[str], tmp_path: Path
) -> None:
    path = class_file(tmp_path / "t.parquet", [1, 0, 1], CLASS | {"names": names})
    with pytest.raises(UserError, match=r"t.parquet: column 'mood': the name 'neg' appears twice"):
        labels_in(path)
    assert labels_in(path, labels=("0", "1", "2")[: len(names)])[0].labels[0] == "0"


@pytest.mark.parametrize("feature", [None, [], {}, {"_type": "ClassLabel", "names": 3}, "x", [1]])
def test_metadata_that_name_nothing_are_passed_over(feature: Any, tmp_path: Path) -> None:
    task, _ = labels_in(class_file(tmp_path / "t.parquet", [1, 0], feature))
    assert task.labels == ("0", "1")
