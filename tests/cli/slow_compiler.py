"""A process that compiles nothing and never ends by itself, in place of the real compiler."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from peftlab.core.parent import end_with_parent

if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    print("1 of 3", flush=True)
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "begun").touch()
    time.sleep(600)
