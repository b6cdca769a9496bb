"""Small files of MNLI, STS-B, QQP, QNLI, RTE, WNLI and the diagnostic rows."""

from __future__ import annotations

from pathlib import Path

STSB_HEADER = "index genre filename year old_index source1 source2 sentence1 sentence2 score"
QQP_HEADER = "id qid1 qid2 question1 question2 is_duplicate"
MNLI_START = (
    "index promptID pairID genre sentence1_binary_parse sentence2_binary_parse "
    "sentence1_parse sentence2_parse sentence1 sentence2"
)
MNLI_TRAIN = f"{MNLI_START} label1 gold_label"
MNLI_DEV = f"{MNLI_START} label1 label2 label3 label4 label5 gold_label"
PARSES = ["( a )", "( b )", "(ROOT (a))", "(ROOT (b))"]
PAIR = "index sentence1 sentence2"


def write(folder: Path, name: str, header: str, *rows: list[str]) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [header.replace(" ", "\t"), *("\t".join(row) for row in rows)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_mnli(folder: Path) -> None:
    """Write the five files of MNLI, with a row or two each; dev has five annotators' labels."""
    start = ["31193", "31193n", "government", *PARSES]
    write(
        folder, "MNLI/train.tsv", MNLI_TRAIN,
        ["0", *start, "Train one .", "It is", "neutral", "neutral"],
        ["1", *start, 'Train "two .', "It is not", "contradiction", "contradiction"],
    )  # fmt: skip
    five = ["neutral", "entailment", "contradiction", "neutral", "neutral"]
    for kind in ("matched", "mismatched"):
        write(
            folder, f"MNLI/dev_{kind}.tsv", MNLI_DEV, ["0", *start, kind, "b", *five, "entailment"]
        )
        write(folder, f"MNLI/test_{kind}.tsv", MNLI_START, ["0", *start, f"test {kind}", "b"])


def write_others(folder: Path) -> None:
    """Write the files of STS-B, QQP, QNLI, RTE, WNLI and the diagnostic rows."""
    start = ["main-captions", "MSRvid", "2012test", "0001", "none", "none", "A plane .", "A jet ."]
    for split in ("train", "dev"):
        write(folder, f"STS-B/{split}.tsv", STSB_HEADER, ["0", *start, "4.750"])
        write(
            folder, f"QQP/{split}.tsv", QQP_HEADER,
            ["133273", "213221", "213222", "How ?", 'Why "so ?', "1"],
            ["1", "2", "3", "Broken over"],
            ["two lines ?", "0"],
            ["402555", "536040", "536041", "Who ?", "Where ?", "0"],
        )  # fmt: skip
        write(folder, f"QNLI/{split}.tsv", "index question sentence label",
              ["0", "When ?", "Then .", "not_entailment"])  # fmt: skip
        write(folder, f"RTE/{split}.tsv", f"{PAIR} label", ["0", "a", "b", "not_entailment"])
        write(folder, f"WNLI/{split}.tsv", f"{PAIR} label", ["0", "a", "b", "1"])
    write(folder, "STS-B/test.tsv", STSB_HEADER.removesuffix(" score"), ["0", *start])
    write(folder, "QQP/test.tsv", "id question1 question2", ["0", "Would ?", "Will ?"])
    write(folder, "QNLI/test.tsv", "index question sentence", ["0", "When ?", "Then ."])
    write(folder, "RTE/test.tsv", PAIR, ["0", "a", "b"])
    write(folder, "WNLI/test.tsv", PAIR, ["0", "a", "b"])
    write(folder, "diagnostic/diagnostic.tsv", PAIR, ["0", "The cat sat .", "It did not ."])
