"""A cell is the same for all seeds, and another for whatever else changes an id."""

from __future__ import annotations

from peftlab.core.cells import cell_of
from peftlab.core.types import ModelRef, Seeds, TrainingSettings
from tests.core.made_trials import trial


def test_seeds_are_no_part_of_it_and_the_rest_of_the_id_is() -> None:
    one = trial()
    other = trial(seed=2, seeds=Seeds.of(2))
    fixed = trial(seeds=Seeds(init=1, order=2, dropout=3))
    assert len({one.id, other.id, fixed.id}) == 3
    assert cell_of(one) == cell_of(other) == cell_of(fixed) == cell_of(one.with_seeds(3, one.seeds))
    for changes in (
        {"task": "cola"},
        {"training": TrainingSettings(learning_rate=1.0)},
        {"model": ModelRef(name="minilm", fingerprint="g")},
        {"max_length": 64},
    ):
        assert cell_of(trial(**changes)) != cell_of(one)


def test_the_rules_enter_it_as_they_enter_the_id() -> None:
    head = trial(model=ModelRef(name="m", fingerprint="f", has_head=True))
    before = head.as_measured_before(1)
    assert head.id != before.id
    assert cell_of(head) != cell_of(before)
    plain = trial()
    assert cell_of(plain) == cell_of(plain.as_measured_before(1))
