"""A trial of a workspace: its scores, its predictions, and its model put to use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from peftlab.core.errors import UserError
from peftlab.core.files import DEFAULT_WORKSPACE
from peftlab.core.measurements import Costs, Evaluation
from peftlab.core.process import quiet_libraries
from peftlab.core.progress import Tell, say_nothing
from peftlab.store.records import Status, TrialRecord, names_of_arms
from peftlab.store.workspace import Workspace
from peftlab.tasks.scores import scores_words

if TYPE_CHECKING:
    from peftlab.data.predictions import Predictions
    from peftlab.engine.predict import Predictor
    from peftlab.outputs.export import Export
    from peftlab.outputs.predict import Prediction

Texts = Sequence[str | tuple[str, ...]]
"""Rows: a text each, or a tuple of two for a task with pairs."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One training, as the workspace had it when it was read: arm x task x seed (x fold).

    `scores` are in points (91.3, not 0.913), the task's main metric first, of the epoch that
    `record.rule` says; {} before there are any. `costs` (seconds, bytes, counts) are None before
    it is done. All else that is known is in `record`.
    """

    record: TrialRecord

    @classmethod
    def find(cls, trial_id: str, *, workspace: Path | str = DEFAULT_WORKSPACE) -> Trial:
        """Return the trial whose id begins with these digits; raise UserError unless there is
        one."""
        with Workspace.open(Path(workspace), create=False) as opened:
            return cls(opened.trial(trial_id))

    @property
    def id(self) -> str:
        """12 hexadecimal digits: the hash of all that can change its numbers."""
        return self.record.trial.id

    @property
    def task(self) -> str:
        """The task's name."""
        return self.record.trial.task

    @property
    def model(self) -> str:
        """The checkpoint's name."""
        return self.record.trial.model.name

    @property
    def method(self) -> str:
        """The method's name."""
        return self.record.trial.method

    @property
    def seed(self) -> int:
        """The trial's seed."""
        return self.record.trial.seed

    @property
    def fold(self) -> int | None:
        """The fold of train that the trial is scored on, from 1; None if it is scored on dev."""
        return self.record.trial.fold.number if self.record.trial.fold else None

    @property
    def train_size(self) -> int | None:
        """The number of training rows that it is restricted to; None if it is to none."""
        return self.record.trial.train_size

    @property
    def arms(self) -> list[str]:
        """The names of the arms that hold the trial, sorted."""
        return names_of_arms(self.record.arms)

    @property
    def status(self) -> Status:
        """The status: done, failed, running, pending or pruned."""
        return self.record.status

    @property
    def error(self) -> str | None:
        """The cause of its failure."""
        return self.record.error

    @property
    def scores(self) -> Mapping[str, float]:
        """The reported scores in points."""
        return self.record.scores

    @property
    def evaluations(self) -> Sequence[Evaluation]:
        """The evaluations by step; the first is that of the state before training."""
        return self.record.evaluations

    @property
    def costs(self) -> Costs | None:
        """The costs of the trial."""
        return self.record.costs

    def __repr__(self) -> str:
        scores = f", {scores_words(self.scores)}" if self.scores else ""
        where = (
            f"{', '.join(self.arms) or self.method} on {self.task}, {self.record.trial.run_words}"
        )
        return f"<Trial {self.id}: {where}, {self.status}{scores}>"

    def predictions(self) -> Predictions:
        """Return its predictions for dev or its fold: row_ids int64 [N], labels [N], logits
        float32 [N, C].

        In the split's order, of the reported epoch. Raises UserError where there are none.
        """
        from peftlab.study.stored_predictions import predictions_of

        found = predictions_of(self.record)
        if found is None:
            raise UserError(f"the trial {self.id} has no predictions: it is {self.status}")
        return found

    def predict(self, texts: Texts) -> list[Prediction]:
        """Return its predictions for new rows, in their order; the model stays in memory for later
        calls.

        Raises UserError where it has no saved model, or a row has the wrong number of texts.
        """
        from peftlab.outputs.predict import predict_texts

        return predict_texts(self.record, _rows(texts), predictor=self._predictor)

    def with_model(self, folder: Path | str) -> Trial:
        """Return the same trial with the present place of its checkpoint, if that was moved.

        That is the folder, or one in it. Raises UserError where it is neither, by its content.
        """
        quiet_libraries()
        from peftlab.engine.prepare import with_checkpoint

        return Trial(with_checkpoint(self.record, [str(folder)]))

    def export(
        self,
        output: Path | str | None = None,
        *,
        merge: bool = False,
        base_model: str | None = None,
        places: Sequence[str] = (),
        push: str | None = None,
        private: bool = False,
        tell: Tell = say_nothing,
    ) -> Export:
        """Write the trial as a folder for peft, or with `merge` for transformers alone.

        `base_model` names the checkpoint where others have it under another name, and `places` are
        folders in which it may lie by now. With `push` the folder is uploaded to that repository,
        OWNER/NAME, `private` if it is created; it is then kept only if there is an `output`. `tell`
        is told that the upload begins.

        Raises UserError if the folder is not empty, the method cannot be merged, no destination is
        given, or the Hub refuses.
        """
        if output is None and push is None:
            raise UserError(
                "no destination was given",
                where="export",
                remedy="--output DIR, or --push OWNER/NAME",
            )
        if private and push is None:
            raise UserError(
                "only --push creates a repository", where="--private", remedy="add --push"
            )
        quiet_libraries()
        from peftlab.outputs import push as hub
        from peftlab.outputs.export import export

        if push is not None:
            hub.check_repository(push)
        with ExitStack() as stack:
            if output is None:
                output = Path(stack.enter_context(TemporaryDirectory(prefix="peftlab-"))) / "model"
            made = export(
                self.record,
                Path(output),
                merge=merge,
                base_model=base_model,
                public=push is not None,
                places=places,
            )
            if push is None:
                return made
            tell(f"sending it to {push}")
            return replace(made, url=hub.push(made.folder, push, private=private))

    @cached_property
    def _predictor(self) -> Predictor:
        return new_predictor("auto")


def predict(
    trials: str | Trial | Sequence[str | Trial],
    texts: Texts,
    *,
    workspace: Path | str = DEFAULT_WORKSPACE,
    device: str = "auto",
) -> list[list[Prediction]]:
    """Return the predictions of each trial (an id, its first digits, or a Trial) for all rows.

    There is one list for each trial, in the order given, with one entry for each row. Trials of one
    checkpoint share its memory; each predicts as it would alone. Raises UserError as Trial.predict.
    """
    named = [trials] if isinstance(trials, str | Trial) else trials
    found = [
        one if isinstance(one, Trial) else Trial.find(one, workspace=workspace) for one in named
    ]
    predictor, rows = new_predictor(device), _rows(texts)
    from peftlab.outputs.predict import predict_texts

    return [predict_texts(trial.record, rows, predictor=predictor) for trial in found]


def predict_file(
    source: Path | str,
    target: Path | str,
    trials: Sequence[str] = (),
    *,
    trial_column: str | None = None,
    columns: Sequence[str] | None = None,
    sep: str | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
    workspace: Path | str = DEFAULT_WORKSPACE,
    device: str = "auto",
) -> int:
    """Classify the rows of `source`, write them to `target`, and return how many there were.

    This is `peftlab predict --file`. Both files are .csv, .tsv, .jsonl or .parquet, read and
    written a part at a time; the source may also be an .xlsx, a .json, or packed as .gz. Its
    separator, encoding and sheet are detected unless `sep`, `encoding` and `sheet` name them. The
    columns are described in outputs/predict_table.

    Raises UserError, and leaves no target, if anything does not fit.
    """
    from peftlab.data.read_options import ReadOptions, checked_options, require_effect
    from peftlab.data.row_files import read_rows

    options = checked_options(ReadOptions(sep=sep, encoding=encoding, sheet=sheet))
    require_effect(options, Path(source))
    source = Path(source)
    predictor = new_predictor(device)
    from peftlab.outputs.predict_table import question_of, text_names, write_answers

    with Workspace.open(Path(workspace), create=False) as opened:
        question = question_of(
            opened, source, trials, trial_column=trial_column, columns=columns, options=options
        )
    parts = read_rows(source, names=text_names(question), options=options)
    done = write_answers(
        question, parts, Path(target), predictor=predictor, where=str(source), like=source
    )
    return max(done, default=0)


def list_trials(workspace: Path | str = DEFAULT_WORKSPACE, study: str | None = None) -> list[Trial]:
    """Return the trials of a workspace, or of one of its studies in plan order: a look at their
    scores.

    Raises UserError where there is no such workspace or study.
    """
    from peftlab.study.remembered_looks import remember_records

    with Workspace.open(Path(workspace), create=False) as opened:
        records = opened.trials(study)
        remember_records(opened, records, study)
    return [Trial(record) for record in records]


def new_predictor(device: str, places: Sequence[str] = ()) -> Predictor:
    """Return a predictor on the device; checkpoints are looked for in the `places` first."""
    quiet_libraries()
    from peftlab.engine.predict import Predictor

    predictor = Predictor(device=device, places=places)
    predictor.device.make_ready()
    return predictor


def _rows(texts: Texts) -> list[tuple[str, ...]]:
    if isinstance(texts, str):
        raise UserError(
            "must be a list with a text, or a pair of texts, for each row", where="texts"
        )
    return [(row,) if isinstance(row, str) else tuple(row) for row in texts]
