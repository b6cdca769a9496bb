"""Tasks with other layouts on the Hub are read: scores, joined columns, other splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from peftlab.core.errors import UserError
from peftlab.data.hub import HubSource
from peftlab.tasks.glue import MNLI, MNLI_MM, STSB
from peftlab.tasks.public import TREC
from peftlab.tasks.superglue import WIC

datasets = pytest.importorskip("datasets")


def write(folder: Path, config: str, **splits: dict[str, list[object]]) -> HubSource:
    """Write a repository of one configuration, with a Parquet file per split."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / config).mkdir(exist_ok=True)
    card = f"---\nconfigs:\n- config_name: {config}\n  data_files:\n"
    for split, columns in splits.items():
        card += f"  - split: {split}\n    path: {config}/{split}-*\n"
        pq.write_table(pa.table(columns), folder / config / f"{split}-0.parquet")
    (folder / "README.md").write_text(f"{card}---\n")
    return HubSource(str(folder))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets-cache")
    (tmp_path / "hub").mkdir()
    return tmp_path / "hub"


def test_scores_are_floats_and_minus_one_is_none(folder: Path) -> None:
    pair = {"sentence1": ["a", "b"], "sentence2": ["c", "d"]}
    source = write(folder, "stsb", train={**pair, "label": [5.0, 0.25]},
                   test={**pair, "label": [-1.0, -1.0]})  # fmt: skip
    labels = {
        split: [one.label for one in source.examples(STSB, split)] for split in ("train", "test")
    }
    assert labels == {"train": [5.0, 0.25], "test": [None, None]}


@pytest.mark.parametrize("label", ["high", float("nan")])
def test_what_is_no_score_is_named_by_its_row(label: object, folder: Path) -> None:
    source = write(folder, "stsb", train={"sentence1": ["a"], "sentence2": ["b"], "label": [label]})
    with pytest.raises(UserError, match=r"stsb train row 0: .* is not a score .allowed: a number"):
        source.examples(STSB, "train")


def test_the_word_stands_before_the_first_sentence_of_wic(folder: Path) -> None:
    columns: dict[str, list[object]] = {
        "word": ["place"], "sentence1": ["My place ."], "sentence2": ["Her place ."], "label": [1],
    }  # fmt: skip
    (example,) = write(folder, "wic", train=columns).examples(WIC, "train")
    assert (example.texts, example.label) == (("place: My place .", "Her place ."), 1)


def test_both_halves_of_mnli_are_dev_splits_of_one_configuration(folder: Path) -> None:
    def rows(premise: str) -> dict[str, list[object]]:
        return {"premise": [premise], "hypothesis": ["h"], "label": [2]}

    splits = {"train": rows("t"), "validation_matched": rows("m")}
    source = write(folder, "mnli", **splits, validation_mismatched=rows("mm"))
    (matched,), (other,) = source.examples(MNLI, "dev"), source.examples(MNLI_MM, "dev")
    assert (matched.texts[0], other.texts[0], other.label) == ("m", "mm", 2)
    digest = source.ref(MNLI).digest
    moved = folder.rename(folder.with_name("moved"))
    changed = write(moved, "mnli", **splits, validation_mismatched=rows("other"))
    assert changed.ref(MNLI).digest != digest


def test_the_dev_rows_of_a_set_without_validation_are_its_test_rows(folder: Path) -> None:
    columns: dict[str, list[object]] = {"text": ["Who ?"], "coarse_label": [3], "fine_label": [9]}
    source = write(folder, "default", train=columns, test=columns)
    assert source.examples(TREC, "dev") == source.examples(TREC, "test")
    assert TREC.labels[source.examples(TREC, "dev")[0].label or 0] == "HUM"
