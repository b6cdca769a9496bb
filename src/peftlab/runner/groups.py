"""The open trials that are run as groups: in one job, several of them training in one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from peftlab.core.trial import Trial
from peftlab.engine.devices.base import Device
from peftlab.engine.grouping import SharedStep, shared_step, why_alone
from peftlab.models.facts import config_facts
from peftlab.models.flops import EncoderShape

BYTES_PER_TOKEN = 48
"""The memory of a token in each layer and channel, with products in bf16; twice as much without.

Taken from 32 members with bert-base on an H200, 2.2 GB, and rounded up; not measured elsewhere."""
SHARE_OF_MEMORY = 0.5
"""The part of a card's memory that a group is planned to fill."""

GroupSetting = Literal["auto", "off"] | int
"""The value of a study's key `group`."""
TokensOf = Callable[[Trial], float | None]
"""A function that returns the tokens of a trial's batches in the mean, None where unknown."""


@dataclass(frozen=True, kw_only=True)
class TrialGroup:
    """Trials that are run in one job, up to `together` of them in one step.

    When one of them ends, the next one takes its place.
    """

    trials: tuple[Trial, ...]
    together: int


def groups_of(
    trials: Sequence[Trial],
    *,
    group: GroupSetting,
    device: Device | None,
    tokens_of: TokensOf,
) -> tuple[TrialGroup, ...]:
    """Return the groups among the trials, each with two members at least; all others train alone.

    `group` is the study's setting. With auto there are as many trials in a step as fill the device
    and fit into its memory, none where it is not here or groups are not known to pay on it.
    """
    members: dict[SharedStep, list[Trial]] = {}
    for trial in trials if may_group(group, device) else ():
        shared = shared_step(trial)
        if shared is not None:
            members.setdefault(shared, []).append(trial)
    found = []
    for own in members.values():
        together = most_together(own, group=group, device=device, tokens_of=tokens_of)
        if together > 1:
            found.append(TrialGroup(trials=tuple(own), together=together))
    return tuple(found)


def may_group(group: GroupSetting, device: Device | None) -> bool:
    """Return whether trials are to share steps on the device, as far as they can."""
    if group == "auto":
        return device is not None and device.tokens_to_fill > 0
    return group not in ("off", 1)


def most_together(
    trials: Sequence[Trial], *, group: GroupSetting, device: Device | None, tokens_of: TokensOf
) -> int:
    """Return how many of the trials, which may share steps, are to train in one: at least 1.

    With auto that is as many as fill the device and fit into its memory.
    """
    if not may_group(group, device):
        return 1
    if isinstance(group, int):
        return min(group, len(trials))
    assert device is not None, "auto groups none on a device that is not here"
    first = trials[0]
    tokens = [tokens_of(trial) or _most_tokens(trial) for trial in trials]
    most = float(device.tokens_to_fill)
    if device.memory_bytes is not None:
        shape = EncoderShape.of(config_facts(first.model.name))
        of_token = BYTES_PER_TOKEN * shape.num_layers * shape.width
        of_token *= 1 if first.training.bf16 else 2
        most = min(most, SHARE_OF_MEMORY * device.memory_bytes / of_token)
    return max(1, min(len(trials), int(most * len(tokens) / sum(tokens))))


def why_no_groups(trials: Sequence[Trial]) -> str:
    """Return why none of the trials share a step, where they were to: a reason in a few words."""
    reasons = [why_alone(trial) for trial in trials]
    if None in reasons:
        return "no two trials have checkpoint, batch size and precision in common"
    return "; ".join(dict.fromkeys(reason for reason in reasons if reason))


def _most_tokens(trial: Trial) -> float:
    """Return the most tokens that a batch can have."""
    return trial.training.per_device_train_batch_size * trial.max_length
