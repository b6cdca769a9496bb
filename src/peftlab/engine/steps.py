"""The optimizer steps of a trial: what one does, and the state between two of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from peftlab.core.errors import TrialError
from peftlab.core.identity import derived_seed
from peftlab.core.trial import Trial
from peftlab.data.batches import Indices, batches
from peftlab.engine.checkpoint import (
    OF_METHOD,
    OF_PARAMETER,
    Checkpoint,
    found_under,
    put_under,
    without_those_under,
)
from peftlab.engine.classifier import Classifier
from peftlab.engine.dataset import TrialData
from peftlab.engine.devices.base import own_generators
from peftlab.engine.embedding_rows import EmbeddingRows, rows_in_use
from peftlab.engine.loss import SummedLoss, summed_loss, training_loss
from peftlab.engine.memory import is_out_of_memory
from peftlab.engine.optimizer import (
    ROW_BY_ROW,
    build_optimizer,
    clip_gradients,
    learning_rates,
    put_state,
    set_learning_rate,
)
from peftlab.engine.recorded import RecordedSteps, recorded_steps
from peftlab.methods.registry import METHODS
from peftlab.models.fused.backends import NotRecordableError

R = TypeVar("R")
Mark = Callable[[str], None]
"""A function that is called with the name of a part of a step (PARTS) when that part has ended."""
PARTS = ("forward", "backward", "optimizer")


def unmarked(part: str) -> None:
    """Do nothing at a mark within a step."""


class Steps:
    """The optimizer steps of one trial, everything in place for them, to be taken in order."""

    def __init__(
        self,
        classifier: Classifier,
        trial: Trial,
        data: TrialData,
        *,
        embedding: EmbeddingRows | None,
        micro_batch: int | None = None,
    ) -> None:
        size = trial.training.per_device_train_batch_size
        self.micro_batch = min(size, micro_batch or size)
        """How many examples are computed at once."""
        self.classifier = classifier
        self.method = METHODS.get(trial.method)
        self.trial = trial
        self.data = data
        self.total = trial.training.total_steps(len(data.train))
        self.taken = self._told = 0
        self.mark: Mark = unmarked
        self.embedding = embedding
        self.device = next(classifier.module.parameters()).device
        self.parameters = [p for p in classifier.module.parameters() if p.requires_grad]
        self.optimizer = build_optimizer(classifier.module, trial.training, classifier.model.base)
        self._embedding_group = self._group_of(embedding)
        self._rate_of = learning_rates(trial.training, total_steps=self.total)
        self.summed_loss = training_loss(trial.training, data, self.device)
        self.method.begin_training(classifier.module, self.total)
        self._recorded, self.words = recorded_steps(
            classifier.model, self.method, self.optimizer, data.train, self.summed_loss
        )
        self._unread: list[float] = []

    @classmethod
    @contextmanager
    def active(
        cls,
        classifier: Classifier,
        trial: Trial,
        data: TrialData,
        *,
        micro_batch: int | None = None,
    ) -> Iterator[Steps]:
        """Yield the steps of a trial; they can be taken, and the classifier used, in the block."""
        with ExitStack() as stack:
            stack.enter_context(classifier.active())
            embedding = None
            if classifier.packs and trial.training.optim in ROW_BY_ROW:
                embedding = rows_in_use(
                    classifier.word_embedding,
                    data.train,
                    types_as_words=classifier.types_as_words,
                )
            if embedding is not None:
                stack.enter_context(embedding.compact())
            yield cls(classifier, trial, data, embedding=embedding, micro_batch=micro_batch)

    @contextmanager
    def complete(self) -> Iterator[None]:
        """Between steps, put all numbers of the module in place, for evaluation and saving."""
        if self.embedding is None:
            yield
            return
        with self.embedding.complete():
            yield

    def take(self, rows: Indices) -> None:
        """Take a step on these rows."""
        set_learning_rate(self.optimizer, self._rate_of(self.taken))
        if self._recorded is None or self.mark is not unmarked or not self._is_played(rows):
            self._seed_generators(derived_seed(self.trial.seeds.dropout, self.taken))
            self._update(self._backward(rows, self.taken))
        self.count()

    def take_with(self, loss: float) -> None:
        """Take a step whose gradients have been added elsewhere, of a batch with this mean loss.

        Raises TrialError if the loss is not finite.
        """
        require_finite("training", loss)
        set_learning_rate(self.optimizer, self._rate_of(self.taken))
        self._update(loss)
        self.count()

    @property
    def recorded(self) -> RecordedSteps | None:
        """Its steps as programs, if they are recorded."""
        return self._recorded if self.mark is unmarked else None

    def begin(self) -> None:
        """Prepare for a step that a program of several trials takes."""
        set_learning_rate(self.optimizer, self._rate_of(self.taken))
        clip_gradients(self.optimizer, self.parameters, self.trial.training.max_grad_norm)

    def read_losses(self, *, waits: bool = True) -> list[tuple[int, float]]:
        """Return the steps taken since the last reading: their numbers, from 1, and mean losses.

        Without `waits` those whose losses the device has not told yet may be left for later. Raises
        TrialError if a loss is not finite.
        """
        if self._recorded is not None:
            self._unread += self._recorded.read_losses(waits=waits)
        losses, self._unread = self._unread, []
        for loss in losses:
            require_finite("training", loss)
        self._told += len(losses)
        return [*enumerate(losses, start=self._told - len(losses) + 1)]

    def _is_played(self, rows: Indices) -> bool:
        """Take a step by the program of such batches, of fewer examples where memory is short.

        Where it turns out that they cannot be recorded, nothing is done, now or in later steps.
        """
        assert self._recorded is not None
        try:
            self._play(self._recorded, rows)
        except NotRecordableError as error:
            self._unread += self._recorded.read_losses(waits=True)
            self._recorded, self.words = None, f"steps not recorded: {error}"
        return self._recorded is not None

    def _play(self, recorded: RecordedSteps, rows: Indices) -> None:
        """Take a step by programs. Raises NotRecordableError with nothing changed."""
        clip_gradients(self.optimizer, self.parameters, self.trial.training.max_grad_norm)

        def take() -> None:
            recorded.take(rows, step=self.taken, micro_batch=self.micro_batch)

        self._within_memory(take, recorded.forget)

    def _update(self, loss: float) -> None:
        """Change what is trained by its gradients; the loss is that of the batch."""
        self._unread.append(loss + self._penalty())
        clip_gradients(self.optimizer, self.parameters, self.trial.training.max_grad_norm)
        self.optimizer.step()
        self.method.after_step(self.classifier.module, self.taken + 1)
        self.optimizer.zero_grad(set_to_none=True)
        self.mark("optimizer")

    def count(self) -> None:
        """Count the step that has been taken, here or by a program of several trials."""
        if self.embedding is not None:
            group = self._embedding_group
            self.embedding.decayed(group["lr"], group["weight_decay"])
        self.taken += 1

    def _backward(self, rows: Indices, step: int) -> float:
        """Add the gradients; return the loss."""

        def compute() -> float:
            return backward(
                self.classifier,
                self.data,
                rows,
                step=step,
                micro_batch=self.micro_batch,
                mark=self.mark,
                summed_loss=self.summed_loss,
            )

        return self._within_memory(compute, self.optimizer.zero_grad)

    def _within_memory(self, compute: Callable[[], R], undo: Callable[[], None]) -> R:
        """Return what is computed, of half as many examples at once where memory is short."""
        while True:
            try:
                return compute()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.micro_batch == 1:
                    raise TrialError("out of memory, with one example at a time") from error
                self.micro_batch = (self.micro_batch + 1) // 2
                undo()

    def _penalty(self) -> float:
        """Return what the method adds to the loss, its gradients added to those of the batch."""
        penalty = self.method.penalty(self.classifier.module)
        if penalty is None:
            return 0.0
        penalty.backward()
        return penalty.item()

    def state(self) -> dict[str, Tensor]:
        """Return what steps change: what is trained, and the optimizer's and the method's state."""
        tensors = put_under(OF_PARAMETER, dict(self._trained()))
        for name, parameter in self._trained():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"{key}.{name}"] = torch.as_tensor(value)
        of_method = self.method.state(self.classifier.module)
        return tensors | put_under(OF_METHOD, of_method)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a state with which `state` and `taken` were saved.

        Raises ValueError if it is the state of other parameters.
        """
        parameters = dict(self._trained())
        values = found_under(OF_PARAMETER, checkpoint.tensors)
        of_method = found_under(OF_METHOD, checkpoint.tensors)
        of_optimizer = without_those_under(OF_PARAMETER, checkpoint.tensors)
        states: dict[str, dict[str, Tensor]] = {name: {} for name in parameters}
        for key_and_name, tensor in without_those_under(OF_METHOD, of_optimizer).items():
            key, name = key_and_name.split(".", 1)
            if name not in states:
                raise ValueError(f"{name} is not trained")
            states[name][key] = tensor
        if values.keys() - parameters.keys():
            raise ValueError("other parameters are trained")
        for name, parameter in parameters.items():
            if name not in values or values[name].shape != parameter.shape:
                raise ValueError(f"no state of {name}")
        self.put(values, embedding_factor=checkpoint.progress["embedding_factor"])
        for name, parameter in parameters.items():
            for key, tensor in states[name].items():
                put_state(self.optimizer, parameter, key, tensor)
        self.method.restore(
            self.classifier.module,
            {name: tensor.to(self.device) for name, tensor in of_method.items()},
        )
        self.taken = self._told = checkpoint.step

    @property
    def embedding_factor(self) -> float:
        """The factor by which weight decay has shrunk the embedding's rows that are not in use."""
        return 1.0 if self.embedding is None else self.embedding.factor

    def put(self, tensors: Mapping[str, Tensor], *, embedding_factor: float) -> None:
        """Give what is trained these values."""
        put_trained(self.classifier.module, tensors)
        if self.embedding is not None:
            self.embedding.factor = embedding_factor

    def _trained(self) -> list[tuple[str, nn.Parameter]]:
        return trained(self.classifier.module)

    def _seed_generators(self, seed: int) -> None:
        """Do as torch.manual_seed, which asks all kinds of devices, for those in use only."""
        torch.default_generator.manual_seed(seed)
        if own_generators(self.device):
            torch.manual_seed(seed)

    def _group_of(self, embedding: EmbeddingRows | None) -> dict[str, Any]:
        """Return the optimizer's group that has the embedding's rows; an empty one for none."""
        if embedding is not None:
            for group in self.optimizer.param_groups:
                if any(parameter is embedding.rows for parameter in group["params"]):
                    return group
        return {}


def trained(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Return the parameters that learn, with their names."""
    named = module.named_parameters()
    return [(name, parameter) for name, parameter in named if parameter.requires_grad]


def put_trained(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give the parameters that learn these values."""
    with torch.no_grad():
        for name, parameter in trained(module):
            parameter.copy_(tensors[name])


def require_finite(kind: str, loss: float) -> None:
    """Raise TrialError for a training or validation loss that is NaN or infinite."""
    if not math.isfinite(loss):
        raise TrialError(f"the {kind} loss is {loss}: the training has diverged")


def backward(
    classifier: Classifier,
    data: TrialData,
    rows: Indices,
    *,
    step: int,
    micro_batch: int,
    mark: Mark = unmarked,
    summed_loss: SummedLoss = summed_loss,
) -> float:
    """Add the gradients of the mean loss over `rows`, some examples at a time; return that loss.

    Raises TrialError if it is not finite.
    """
    total = 0.0
    for number, micro in enumerate(batches(rows, micro_batch)):
        first = number * micro_batch
        logits = classifier.logits(data.train, micro, step=step, first_example=first)
        loss = summed_loss(logits, data.train.labels[micro]) / len(rows)
        mark("forward")
        loss.backward()
        total += loss.item()
        mark("backward")
    require_finite("training", total)
    return total
