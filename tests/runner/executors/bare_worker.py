"""A worker that loads and trains nothing: it starts at once and sends a real worker's messages.

It serves the tests of how the pool treats its processes, which are real and really die. A trial
takes a hundred steps, one every hundredth of a second.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

OUTCOME = "BARE_WORKERS_OUTCOME"
"""The environment variable with the end of every trial, as JSON."""
IMPORTS = "BARE_WORKERS_IMPORTS"
"""The environment variable with the seconds until the worker is ready."""
STEPS = 100


def main() -> None:
    """Run jobs until there are no more, after the seconds of a real worker's imports."""
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
