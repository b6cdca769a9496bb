"""A workbench that compares fine-tuning methods with evidence.

The names below are imported when they are first used: `import peftlab` itself takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from peftlab.api.choose import choose
    from peftlab.api.listing import (
        bench,
        list_methods,
        list_models,
        list_studies,
        list_tasks,
        load_results,
        params,
    )
    from peftlab.api.reports import report_on
    from peftlab.api.study import Study
    from peftlab.api.submission import submit
    from peftlab.api.trial import Trial, list_trials, predict, predict_file
    from peftlab.core.errors import UserError
    from peftlab.outputs.push import push

__all__ = [
    "Study",
    "Trial",
    "UserError",
    "bench",
    "choose",
    "list_methods",
    "list_models",
    "list_studies",
    "list_tasks",
    "list_trials",
    "load_results",
    "params",
    "predict",
    "predict_file",
    "push",
    "report_on",
    "submit",
]

_HOMES = {
    "Study": "peftlab.api.study",
    "choose": "peftlab.api.choose",
    "UserError": "peftlab.core.errors",
    "push": "peftlab.outputs.push",
    "report_on": "peftlab.api.reports",
    "submit": "peftlab.api.submission",
    **dict.fromkeys(("Trial", "list_trials", "predict", "predict_file"), "peftlab.api.trial"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'peftlab' has no attribute '{name}'")
    return getattr(import_module(_HOMES.get(name, "peftlab.api.listing")), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
