"""The process that compiles all kernels: `python -m` this module, with the id of its parent.

It writes a line to its standard output for each kernel: the number done, and their total.
"""

from __future__ import annotations

import sys

from peftlab.core.parent import end_with_parent


def main(parent: int) -> None:
    """Compile all kernels that are not compiled yet."""
    end_with_parent(parent)
    from peftlab.models.fused.compile import compile_all  # this takes seconds

    compile_all(lambda done, total: print(f"{done} of {total}", flush=True))


if __name__ == "__main__":
    main(int(sys.argv[1]))
