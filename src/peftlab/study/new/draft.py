"""A study to start from, drafted for a user's own file, with the reasons for its settings."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from peftlab.core.errors import UserError, one_line
from peftlab.core.inputs import MissingPolicy
from peftlab.core.selection import Selection
from peftlab.core.words import counted
from peftlab.data.encodings import WESTERN, western_words
from peftlab.data.file_bytes import format_of
from peftlab.data.read_options import (
    AS_FOUND,
    ReadOptions,
    checked_options,
    is_used,
    read_options,
    unusual,
)
from peftlab.models.builtin import MINILM, builtin_models
from peftlab.study.new.epochs import BATCH_SIZE, epochs_for
from peftlab.study.new.guess import SAID, Guess, Looked, look
from peftlab.study.new.hints import (
    LONGEST,
    TOKENS_PER_WORD,
    few_rows_hints,
    hints_on_rows,
    is_uneven,
    smallest_and_largest,
)
from peftlab.study.new.scalars import scalar
from peftlab.study.remarks.row_remarks import remarks_on_draft
from peftlab.study.spec import NAME_PATTERN
from peftlab.tasks.metrics.registry import DEFAULTS

DEV_NAMES, TEST_NAMES = ("dev", "validation", "valid", "val"), ("test",)
GENERAL_NAMES = ("train", "data", "dataset", "all")
OTHERWISE = "google-bert/bert-base-uncased"
ENOUGH_ROWS = 100
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
"""The shares of train that are tried for dev, smallest first."""
MOST_SHOWN = 20
"""The most labels that are written into the study: they are found in train."""
GUESSED = ("text", "label", "separator", "problem_type", "sep", "encoding", "sheet")
USUAL = 128
"""The maximal length of a row in tokens, unless rows are longer."""

TEMPLATE = """\
# A study of {file}, to start from. What stands with "guessed" was found by looking at the file.
#   peftlab lint {study}        what is doubtful, before compute is spent
#   peftlab run {study}         train, and write the report
name: {name}
model: {model}
data:
  {task}:
{data}
{runs}
max_length: {max_length}                 # tokens; {lengths}
training:                       # names and defaults of transformers.TrainingArguments
  num_train_epochs: {epochs}
  per_device_train_batch_size: {batch_size}
  warmup_steps: 0.06            # a share of all steps
{arms}
"""

ARMS = """\
# selection: {split: train, fraction: 0.1}   # pick the epoch on rows held out of train
arms:                           # `peftlab list methods` shows what else there is
  full: {method: full, training: {learning_rate: 2e-5}}
  bitfit: {method: bitfit, training: {learning_rate: 5e-4}}
  lora: {method: lora, r: 8, lora_alpha: 16, training: {learning_rate: 5e-4}}
claims:
  - {say: LoRA is as good as full fine-tuning, equivalent: [lora, full], margin: 1.0}"""

SEEDS = "seeds: [42, 43, 44]             # a verdict takes three of each arm; five are better"
FOLDS = """\
folds: {folds:<25}# parts of train: each is scored by a model trained on the other folds
seeds: [42]                     # each trains a model for every fold; more average out their luck"""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The lines of a study's file that define its comparison: its runs, and its arms to the end."""

    runs: str
    arms: str


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The study's text, the guesses in it, and remarks on the data."""

    text: str
    guesses: Sequence[Guess]
    hints: Sequence[str]


def draft(
    study: Path,
    data: Path,
    *,
    dev: Path | None = None,
    text: Sequence[str] | None = None,
    label: Sequence[str] | None = None,
    model: str | None = None,
    folds: int | None = None,
    options: ReadOptions = AS_FOUND,
    missing: MissingPolicy = "error",
    comparison: Comparison | None = None,
) -> Draft:
    """Return the study that the file `study` is to hold, of the rows in `data`.

    It compares three methods by three seeds or by folds, or is of another `comparison`.
    Dev is the file given, or one beside the data that is called so, or is cut off them; with
    `folds` there is none. `options` say how files are read, `missing` what becomes of rows without
    a text or a label. Raises UserError where the data cannot be read or have no column that could
    be the label or the text, and where no split of them has what a run needs.
    """
    options = checked_options(options)
    if folds is not None and dev is not None:
        raise UserError(
            "with folds the rows of the data are scored, and not a dev split",
            where="--folds",
            allowed="one of --folds and --dev",
        )
    looked = look(data, text=text, label=label, options=options, missing=missing)
    dropping = [Guess(key="missing", value=missing, why=SAID)] if missing == "drop" else []
    words = _words_in_long_rows(looked)
    errors: list[str] = []
    devs = (
        [[]] if folds is not None else [[one] for one in _devs(study, data, dev, len(looked.rows))]
    )
    for dev_guess in devs:
        guesses = [
            Guess(key="train", value=_path_from(data, study), why=counted(len(looked.rows), "row")),
            *dev_guess,
            *_test(study, data),
            *_reading(data, dev, options),
            *looked.guesses.values(),
            *dropping,
            *_labels(looked),
            _metrics(looked),
        ]
        compared = comparison or Comparison(
            runs=SEEDS if folds is None else FOLDS.format(folds=folds), arms=ARMS
        )
        written = _written(study, data, model, looked, words, guesses, folds, compared)
        remarks = remarks_on_draft(written, study)
        if not remarks.errors:
            hints = [
                *few_rows_hints(len(looked.rows), guesses, folds),
                *hints_on_rows(looked, words),
                *_unused_dev(data, folds),
                *remarks.others,
            ]
            return Draft(text=written, guesses=guesses, hints=hints)
        errors += remarks.errors
    raise UserError(
        f"no study of this file can run: {errors[0]}",
        where=str(data),
        allowed="more rows, or --dev FILE with rows of two labels or more",
    )


def _unused_dev(data: Path, folds: int | None) -> list[str]:
    """Return the hint that a dev file beside the data is not used with folds; none without one."""
    beside = None if folds is None else _beside(data, DEV_NAMES)
    if beside is None:
        return []
    return [f"{beside.name} is not used: with folds the rows of {data.name} are scored"]


def _written(
    study: Path,
    data: Path,
    model: str | None,
    looked: Looked,
    words: int,
    guesses: Sequence[Guess],
    folds: int | None,
    compared: Comparison,
) -> str:
    epochs = epochs_for(_num_trained(len(looked.rows), guesses, folds))
    return TEMPLATE.format(
        file=one_line(data.name, length=100),
        study=one_line(study.name, length=100),
        name=scalar(_name(study.stem, "my-study")),
        model=scalar(model or _model()),
        task=scalar(_task(data, looked)),
        data="\n".join(_line(guess) for guess in guesses),
        epochs=f"{epochs.number:<12}# {epochs.why}" if epochs.why else epochs.number,
        batch_size=BATCH_SIZE,
        runs=compared.runs,
        arms=compared.arms,
        max_length=_max_length(words),
        lengths=f"of 20 texts 19 have at most about {math.ceil(words * TOKENS_PER_WORD):,}",
    )


def _num_trained(num_rows: int, guesses: Sequence[Guess], folds: int | None) -> int:
    """Return how many of the rows a trial trains on."""
    if folds is not None:
        return num_rows - num_rows // folds
    dev = next(one.value for one in guesses if one.key == "dev")
    if isinstance(dev, float):
        return num_rows - Selection(fraction=dev).num_held_out(num_rows)
    return num_rows


def _devs(study: Path, data: Path, dev: Path | None, num_rows: int) -> Iterator[Guess]:
    """Yield the candidates for dev: a file, or shares of train, the smallest first."""
    beside = _beside(data, DEV_NAMES) if dev is None else None
    if dev is not None:
        yield Guess(key="dev", value=_path_from(dev, study), why=SAID)
    elif beside is not None:
        yield Guess(key="dev", value=_path_from(beside, study), why="lies beside it")
    else:
        for share in SHARES[num_rows < ENOUGH_ROWS :]:
            if share == SHARES[-1] or Selection(fraction=share).num_held_out(num_rows):
                yield Guess(key="dev", value=share, why="this share of train, of each label alike")


def _test(study: Path, data: Path) -> list[Guess]:
    beside = _beside(data, TEST_NAMES)
    if beside is None:
        return []
    why = "lies beside it; for predictions alone"
    return [Guess(key="test", value=_path_from(beside, study), why=why)]


def _reading(data: Path, dev: Path | None, options: ReadOptions) -> Iterator[Guess]:
    """Yield the options by which the files are read, where all share them and no ending implies
    them."""
    found = unusual(read_options(data, options))
    others = [dev or _beside(data, DEV_NAMES), _beside(data, TEST_NAMES)]
    for name, value in found.items():
        of_others = [
            getattr(read_options(other, options), name)
            for other in others
            if other is not None and other.is_file() and is_used(name, other)
        ]
        if any(one != value for one in of_others):
            continue
        why = SAID
        if name not in options.given:
            why = {"sep": "stands between the columns", "sheet": "the first one"}.get(name, "")
        if not why:
            why = "as the file's beginning says"
            if value == WESTERN:
                why = f"not UTF-8; read as cp1252 it gives '{western_words(data).example}'"
        yield Guess(key=name, value=value, why=one_line(why))


def _beside(data: Path, names: Sequence[str]) -> Path | None:
    """Return the file beside the data that has one of the names; None if the data are not train."""
    if _stem(data).casefold() != "train":
        return None
    endings = data.name[len(_stem(data)) :]
    files = (data.with_name(f"{name}{endings}") for name in names)
    return next((file for file in files if file.is_file()), None)


def _stem(data: Path) -> str:
    """Return the file's name without the endings of its format."""
    return Path(data.stem).stem if format_of(data).is_gzip else data.stem


def _labels(looked: Looked) -> list[Guess]:
    """Return the labels in their order if they are few."""
    has_columns = isinstance(looked.guesses["label"].value, list)
    if has_columns or not 2 <= len(looked.counts) <= MOST_SHOWN:
        return []
    numbers = all(re.fullmatch(r"-?\d{1,18}", word) for word in looked.counts)
    words = sorted(looked.counts, key=int) if numbers else sorted(looked.counts)
    why = "in the order of the classes"
    if looked.names:
        words, why = [*looked.names], "the file's own names, in the order of the classes"
    return [Guess(key="labels", value=words, why=why)]


def _metrics(looked: Looked) -> Guess:
    """Return the metrics of the kind of problem, macro F1 first where accuracy would flatter."""
    names, why = [*DEFAULTS[looked.problem_type]], "the first one is the main one"
    if is_uneven(looked):
        names.reverse()
        smallest, largest = (
            f"{counted(one.count, 'row')} {'has' if one.count == 1 else 'have'} '{one.name}'"
            for one in smallest_and_largest(looked)
        )
        why = one_line(f"macro F1 first: {largest}, {smallest}", length=100)
    return Guess(key="metrics", value=names, why=why)


def _words_in_long_rows(looked: Looked) -> int:
    """Return the 95th percentile of the words in a row, in both texts together."""
    lengths = sorted(
        sum(len(str(row.get(name, "")).split()) for name in looked.texts) for row in looked.rows
    )
    return lengths[min(len(lengths) - 1, len(lengths) * 19 // 20)]


def _max_length(words: int) -> int:
    """Return the usual length, or for longer texts a multiple of 64, up to the longest."""
    tokens = math.ceil(words * TOKENS_PER_WORD) + 3
    return USUAL if tokens <= USUAL else min(LONGEST, 64 * math.ceil(tokens / 64))


def _model() -> str:
    """Return the embedded checkpoint if it is on this machine."""
    is_here = any(own.name == MINILM and own.available for own in builtin_models())
    return MINILM if is_here else OTHERWISE


def _task(data: Path, looked: Looked) -> str:
    """Return the name of the task: as the file, or as the label where all files are called so."""
    if _stem(data).casefold() not in GENERAL_NAMES:
        return _name(_stem(data), "own")
    label = looked.guesses["label"].value
    return _name(label, "own") if isinstance(label, str) else "labels"


def _name(text: str, otherwise: str) -> str:
    """Return the text in the form that the name of a study or a task must have."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:64]
    return name if re.fullmatch(NAME_PATTERN, name) else otherwise


def _path_from(file: Path, study: Path) -> str:
    """Return the file's path: relative to the study's folder if it lies in that, else absolute."""
    path, folder = file.absolute(), study.absolute().parent
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _line(guess: Guess) -> str:
    shown = f"    {guess.key}: {scalar(guess.value)}"
    is_guess = guess.key in GUESSED and guess.why != SAID
    return f"{shown:<31} # {'guessed: ' if is_guess else ''}{guess.why}"
