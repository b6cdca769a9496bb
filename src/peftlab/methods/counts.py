"""Parameter counts, without importing torch if they have been asked for before.

The plain twin is `parameters.count_parameters`, which builds the model without its numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from pydantic import JsonValue

from peftlab.core.measurements import ParameterCount
from peftlab.core.remembered import remembered
from peftlab.methods.registry import METHODS
from peftlab.models.facts import config_key


def parameter_counts_given(
    model: str, method: str, given: Mapping[str, JsonValue], *, num_labels: int
) -> ParameterCount:
    """Return the counts of a method with the given settings on a checkpoint.

    Raises UserError for an unknown method, setting or checkpoint.
    """
    config = METHODS.get(method, where="--method").resolve(given, where=f"method {method}")
    return parameter_counts(model, method, config, num_labels=num_labels)


def parameter_counts(
    model: str, method: str, config: Mapping[str, JsonValue], *, num_labels: int
) -> ParameterCount:
    """Return the counts of a method with all of its settings on a checkpoint.

    Raises UserError where the method cannot work on the architecture.
    """

    def ask() -> dict[str, int]:
        from peftlab.methods.parameters import count_parameters

        return asdict(count_parameters(model, method, config, num_labels=num_labels))

    key = config_key(model)
    question = [key, method, dict(config), num_labels]
    return ParameterCount(**(ask() if key is None else remembered("counts", question, ask)))
