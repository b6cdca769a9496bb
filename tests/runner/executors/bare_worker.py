"""A worker that loads and trains nothing: it starts at once and sends a real worker's messages.

It serves the tests of how the pool treats its processes, which are real and really die. A trial
takes a hundred steps, one every hundredth of a second. The trials of a job go side by side, and
each takes twenty steps less than the one before.
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
        folders = json.loads(line)["job"]["folders"]
        left = {trial: STEPS - 20 * place for place, trial in enumerate(folders)}
        for trial, steps in left.items():
            tell(event="began", trial_id=trial, total_steps=steps, steps_per_epoch=steps)
        for step in range(1, STEPS + 1):
            time.sleep(0.01)
            for trial in [trial for trial, steps in left.items() if steps >= step]:
                tell(event="stepped", trial_id=trial, step=step, loss=0.5)
                if step == left[trial]:
                    tell(**json.loads(os.environ[OUTCOME]) | {"trial_id": trial})
        tell(event="done")


def tell(**message: Any) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()
