"""A worker that loads nothing and trains nothing: it starts at once and says what a real one says.

For what the pool does about its processes, which are real, and really die. A trial takes a step
every hundredth of a second, a hundred of them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

OUTCOME = "BARE_WORKERS_OUTCOME"
"""The environment's variable with how every trial finishes, as JSON."""
IMPORTS = "BARE_WORKERS_IMPORTS"
"""Likewise, how many seconds it takes until it is ready."""
STEPS = 100


def main() -> None:
    """Do what comes, until there is no more, after the seconds that a real one imports."""
    time.sleep(float(os.environ.get(IMPORTS, "0")))
    tell(event="ready")
    for line in sys.stdin:
        (trial,) = json.loads(line)["job"]["folders"]
        tell(event="began", trial_id=trial, total_steps=STEPS, steps_per_epoch=STEPS)
        for step in range(1, STEPS + 1):
            time.sleep(0.01)
            tell(event="stepped", trial_id=trial, step=step, loss=0.5)
        tell(**json.loads(os.environ[OUTCOME]) | {"trial_id": trial})
        tell(event="done")


def tell(**message: Any) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()
