"""A stand-in for the process that compares: it dies at one name, and finds another one wrong."""

from __future__ import annotations

import json
import os
import sys


def main(names: list[str]) -> None:
    """Say of each name what a card with such kernels would say."""
    print("a remark of a library", flush=True)
    for name in names:
        print(json.dumps({"begun": name}), flush=True)
        if name == "Attention":
            os._exit(7)
        wrong = "differs by 0.3 in bf16" if name == "Gelu" else None
        print(json.dumps({"ended": name, "wrong": wrong}), flush=True)


if __name__ == "__main__":
    main(sys.argv[4:])
