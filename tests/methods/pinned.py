"""Write the pinned defaults anew: python -m tests.methods.pinned, for new methods and settings.

What is pinned already is kept as it is (core/identity.py says why).
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import JsonValue

from peftlab.core.identity import PINNED, pinned_settings
from peftlab.methods.registry import METHODS


def current() -> dict[str, dict[str, JsonValue]]:
    """Return the settings of every method at the defaults of today."""
    return {method.name: method.settings() for method in METHODS}


def main() -> None:
    """Add the defaults that are not pinned yet."""
    pinned = pinned_settings()
    lines = (
        f"{json.dumps(name)}: {json.dumps(settings | dict(pinned.get(name, {})), sort_keys=True)}"
        for name, settings in current().items()
    )
    path = Path(__file__).parents[2] / "src" / "peftlab" / "core" / PINNED
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
