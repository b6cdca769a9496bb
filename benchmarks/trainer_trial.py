"""One trial as it is run without this package: transformers.Trainer + peft in one process.

    python -m benchmarks.trainer_trial --data path/to/glue --task cola --method lora --model FOLDER

It reads the GLUE folder, tokenizes, trains, evaluates after each epoch and saves the model. The
study against a loop over this is benchmarks/study.py. Nothing of peftlab is imported.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from peft import LoraConfig, TaskType, get_peft_model
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

TASKS: dict[str, tuple[str, list[str], str, bool]] = {
    "sst2": ("SST-2", ["sentence"], "label", True),
    "cola": ("CoLA", ["3"], "1", False),
    "mrpc": ("MRPC", ["#1 String", "#2 String"], "Quality", True),
}
"""The folder, text columns and label column of each task, and whether it has a header."""


def rows_of(folder: Path, task: str, split: str) -> list[tuple[list[str], int]]:
    """Return (texts, label) for each row."""
    name, texts, label, has_header = TASKS[task]
    with (folder / name / f"{split}.tsv").open(encoding="utf-8-sig", newline="") as stream:
        lines = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        names = next(lines) if has_header else ["0", "1", "2", "3"]
        places = [names.index(column) for column in texts]
        return [
            ([line[place] for place in places], int(line[names.index(label)])) for line in lines
        ]


def main() -> None:
    """Train the one trial."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "model", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--task", choices=list(TASKS), required=True)
    parser.add_argument(
        "--method", choices=["full", "bitfit", "bitfit-frozen-head", "lora"], required=True
    )
    parser.add_argument("--r", type=int, default=8)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--learning-rate", type=float, required=True)
    given = parser.parse_args()

    tokenizer = AutoTokenizer.from_pretrained(given.model)

    def features(split: str) -> list[dict[str, Any]]:
        rows = rows_of(given.data, given.task, split)
        if split == "train":
            rows = [rows[i] for i in np.random.default_rng(given.seed).permutation(len(rows))]
            rows = rows[: given.rows]
        encoded = tokenizer(*zip(*[texts for texts, _ in rows], strict=True), truncation=True)
        return [
            {**{key: values[i] for key, values in encoded.items()}, "labels": rows[i][1]}
            for i in range(len(rows))
        ]

    def metrics(prediction: Any) -> dict[str, float]:
        guesses = prediction.predictions.argmax(-1)
        return {
            "accuracy": accuracy_score(prediction.label_ids, guesses),
            "f1": f1_score(prediction.label_ids, guesses),
            "matthews": matthews_corrcoef(prediction.label_ids, guesses),
        }

    model: Any = AutoModelForSequenceClassification.from_pretrained(given.model, num_labels=2)
    if given.method == "lora":
        model = get_peft_model(
            model,
            LoraConfig(
                task_type=TaskType.SEQ_CLS, r=given.r, lora_alpha=16, lora_dropout=0.01, bias="none"
            ),
        )
    if given.method.startswith("bitfit"):
        head = () if given.method == "bitfit-frozen-head" else ("classifier",)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.endswith("bias") or name.startswith(head))
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(given.output),
            num_train_epochs=given.epochs,
            per_device_train_batch_size=16,
            per_device_eval_batch_size=16,
            learning_rate=given.learning_rate,
            warmup_steps=500,
            weight_decay=0.01,
            seed=given.seed,
            eval_strategy="epoch",
            save_strategy="no",
            report_to="none",
        ),
        train_dataset=features("train"),
        eval_dataset=features("dev"),
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=metrics,
    )
    trainer.train()
    trainer.save_model(str(given.output))
    print(json.dumps(trainer.state.log_history[-2]))


if __name__ == "__main__":
    main()
