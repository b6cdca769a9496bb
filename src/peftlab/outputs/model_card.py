"""The model card of an exported trial: README.md with a YAML header that the Hub reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from peftlab.core.words import counted, escape_markdown
from peftlab.data.predictions import Answers
from peftlab.methods.registry import METHODS
from peftlab.stats.outcomes import Outcomes
from peftlab.stats.summary import Summary, summarise, summarise_scores
from peftlab.store.records import TrialRecord, names_of_arms
from peftlab.study.stored_predictions import answers_of, predictions_of
from peftlab.tasks.metrics.metric import POINTS
from peftlab.tasks.metrics.registry import METRICS
from peftlab.tasks.problem import Predicted
from peftlab.tasks.registry import task_of
from peftlab.tasks.scores import score_words, unit_of
from peftlab.tasks.spec import Task

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

CARD = "README.md"
LIBRARY = "peftlab"


def model_card(
    record: TrialRecord,
    *,
    kind: Literal["peft", "transformers"],
    base: str | None,
    pad_token_id: int | None = None,
) -> str:
    """Return the card's text. `base` is the Hub id of the checkpoint; None where it has none.

    `pad_token_id` is what the trained model took for padding, which an adapter's base may not know.

    Scores are those that the trial reports, with the 95% interval that other examples would give;
    whatever has been named by somebody is escaped.
    """
    trial = record.trial
    task, method = task_of(trial), METHODS.get(trial.method)
    scores = summaries(record)
    checkpoint = base or Path(trial.model.name).name
    lines = [
        "---",
        _header(record, task, scores, kind=kind, base=base),
        "---",
        "",
        f"# {escape_markdown(f'{trial.method} on {task.name} ({checkpoint})')}",
        "",
        f"A text classifier for the task {escape_markdown(task.title)}: the checkpoint "
        f"{escape_markdown(checkpoint)}, adapted by {escape_markdown(method.title)} "
        f"({escape_markdown(method.paper)}). Trained, measured and exported by {LIBRARY}.",
        "",
        "## Scores",
        "",
        *_table(("metric", "score", "95% interval"), _score_rows(scores)),
        "",
        _note(record, scores),
        "",
        "## Use",
        "",
        "```python",
        *_usage(task, kind, pad_token_id),
        "```",
        "",
    ]
    if kind == "peft" and base is None:
        lines += [
            "The base of this adapter has no public name: adapter_config.json says where it lay "
            "on the machine that exported it. Elsewhere, put your copy's place there.",
            "",
        ]
    lines += ["## Training", "", *_table(("setting", "value"), _settings(record)), ""]
    lines += ["## Provenance", "", *_table(("what", "value"), _provenance(record)), ""]
    return "\n".join(lines)


def summaries(record: TrialRecord) -> dict[str, Summary]:
    """Return the trial's scores by metric, each with its interval, the main one first.

    Where the predictions are gone an interval covers nothing.
    """
    task, found = task_of(record.trial), answers_of(record)
    if found is None:
        return {
            name: summarise_scores(name, [record.scores[name]])
            for name in task.metrics
            if name in record.scores
        }
    return {name: summarise(_outcomes(record, name, found)) for name in task.metrics}


def _outcomes(record: TrialRecord, metric: str, found: Answers) -> Outcomes:
    predicted: Predicted = found.predicted
    if METRICS.get(metric).reads == "logits":
        own = predictions_of(record)
        assert own is not None
        predicted = own.logits
    return Outcomes(
        metric=metric,
        labels_N=found.labels,
        predictions_SN=predicted[None],
        seeds=(record.trial.seed,),
    )


def _header(
    record: TrialRecord,
    task: Task,
    scores: Mapping[str, Summary],
    *,
    kind: Literal["peft", "transformers"],
    base: str | None,
) -> str:
    """Return the YAML between the two lines of dashes."""
    from huggingface_hub import ModelCardData

    trial = record.trial
    relation = None if base is None else "adapter" if kind == "peft" else "finetune"
    results = [_result(record, task, name, summary) for name, summary in scores.items()]
    more: dict[str, Any] = {"base_model_relation": relation} if relation else {}
    data = ModelCardData(
        base_model=base,
        library_name=kind,
        pipeline_tag="text-classification",
        tags=[LIBRARY, trial.method, task.name, *(["lora"] if trial.method == "lora" else [])],
        datasets=[task.hub.repository] if task.hub and trial.data.source == "hub" else None,
        metrics=list(scores) or None,
        model_name=f"{trial.method}-{task.name}-{trial.id}" if results else None,
        eval_results=results or None,
        **more,
    )
    return str(data.to_yaml()).strip()


def _result(record: TrialRecord, task: Task, name: str, summary: Summary) -> EvalResult:
    from huggingface_hub import EvalResult

    is_public = task.hub is not None and record.trial.data.source == "hub"
    return EvalResult(
        task_type="text-classification",
        dataset_type=task.hub.repository if is_public and task.hub else task.name,
        dataset_name=task.title,
        dataset_config=task.hub.config if is_public and task.hub else None,
        dataset_split=_split(record, task, is_public=is_public),
        metric_type=name,
        metric_name=f"{name} ({unit_of(name)}, {record.rule})",
        metric_value=float(score_words(name, summary.mean, 2)),
    )


def _split(record: TrialRecord, task: Task, *, is_public: bool) -> str:
    """Return the name of the split that was scored."""
    split = "dev" if record.trial.fold is None else "train"
    return task.hub.splits.of(split) if is_public and task.hub else split


def _score_rows(scores: Mapping[str, Summary]) -> Iterable[tuple[str, str, str]]:
    for name, summary in scores.items():
        mean, low, high = (
            score_words(name, one, 1) for one in (summary.mean, summary.low, summary.high)
        )
        yield name, mean, f"{low} to {high}" if summary.has_interval else ""


def _note(record: TrialRecord, scores: Mapping[str, Summary]) -> str:
    """Return a note on the origin of the scores."""
    number = record.num_eval_examples
    fold = record.trial.fold
    split = "dev" if fold is None else f"fold {fold.number} of {fold.of} of train, not trained on"
    of = split if number is None else f"{counted(number, 'example')} of {split}"
    units = {name: unit_of(name) for name in scores}
    others = "".join(f" ({name} in {unit})" for name, unit in units.items() if unit != POINTS)
    words = f"In {POINTS}{others}, on {of}; {record.rule}."
    if any(summary.has_interval for summary in scores.values()):
        words += (
            " The interval holds what other examples would give; another seed would be another "
            "model."
        )
    return escape_markdown(words)


def _usage(
    task: Task, kind: Literal["peft", "transformers"], pad_token_id: int | None
) -> list[str]:
    """Return Python code that loads the folder by its library alone and gives the trial's
    logits."""
    name = "AutoModelForSequenceClassification"
    texts = ", ".join(repr(f"your {text}") for text in task.texts)
    lines = ["from transformers import AutoTokenizer"]
    given = ""
    if kind == "peft":
        name = "AutoPeftModelForSequenceClassification"
        lines.insert(0, f"from peft import {name}")
        given = f", num_labels={task.num_labels}"
        if task.labels:
            given += f", id2label={dict(enumerate(task.labels))!r}"
        if pad_token_id:
            given += f", pad_token_id={pad_token_id}"
    else:
        lines = [f"from transformers import {name}, AutoTokenizer"]
    return [
        *lines,
        "",
        'folder = "path/to/this/folder"  # or this repository on the Hub',
        f"model = {name}.from_pretrained(folder{given}).eval()",
        "tokenizer = AutoTokenizer.from_pretrained(folder)",
        f"logits = model(**tokenizer({texts}, truncation=True, return_tensors='pt')).logits",
    ]


def _settings(record: TrialRecord) -> Iterable[tuple[str, object]]:
    trial = record.trial
    yield "seed", trial.seed
    if trial.fold is not None:
        yield "fold", f"{trial.fold.number} of {trial.fold.of}: the others were trained on"
    if trial.train_size is not None:
        yield "train_size", f"{trial.train_size} rows, drawn by the seed, of each label its share"
    yield "training examples", record.num_train_examples
    if trial.data.reading_words:
        yield "data read as", trial.data.reading_words
    if trial.data.dropped_words:
        yield "rows left out", trial.data.dropped_words
    yield "max_length", trial.max_length
    yield "engine", trial.engine
    for name, value in trial.training.model_dump(mode="json").items():
        yield name, value
    defaults = METHODS.get(trial.method).settings()
    for name, value in trial.method_config.items():
        if value is not None and (value != defaults.get(name) or name == "r"):
            yield f"{trial.method}: {name}", value
    if record.costs is not None:
        yield "trained parameters", f"{record.costs.parameters.trainable:,}"
        group = record.costs.together
        share = f" (its share, in a group of up to {group} trials)" if group > 1 else ""
        yield "seconds of training", f"{round(record.costs.train_seconds, 1)}{share}"


def _provenance(record: TrialRecord) -> Iterable[tuple[str, object]]:
    trial = record.trial
    yield "trial", trial.id
    yield "studies", ", ".join(sorted(record.arms))
    yield "arms", ", ".join(names_of_arms(record.arms))
    yield "checkpoint", f"{Path(trial.model.name).name} ({trial.model.fingerprint})"
    # Of a folder of this machine only its own name is told.
    place = trial.data.location if trial.data.source == "hub" else Path(trial.data.location).name
    yield "data", f"{trial.data.source}: {place} (digest {trial.data.digest})"
    for group, values in record.provenance.items():
        for name, value in values.items() if isinstance(values, Mapping) else ():
            yield f"{group}: {name}", value


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return a Markdown table, without the rows whose value is None."""
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    for row in rows:
        if None not in row:
            lines.append(f"| {' | '.join(escape_markdown(cell) for cell in row)} |")
    return lines
