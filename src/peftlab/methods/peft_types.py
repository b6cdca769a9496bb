"""The names of peft's methods, asked of peft itself without importing it.

Importing peft takes seconds, most of them torch's and transformers'. The module in which peft
names its types imports nothing of either, so that it is run by itself.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any


def peft_types() -> tuple[str, ...]:
    """Return the members of peft's PeftType, in its order: ("PROMPT_TUNING", ..., "LORA", ...)."""
    return tuple(member.name for member in _enumeration())


def _enumeration() -> Any:
    if "peft" not in sys.modules:
        package = find_spec("peft")
        assert package is not None
        assert package.origin is not None
        file = Path(package.origin).parent / "utils" / "peft_types.py"
        spec = spec_from_file_location("peftlab_reads_peft_types", file)
        if file.is_file() and spec is not None and spec.loader is not None:
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            return module.PeftType
    from peft import PeftType  # slower: a peft that keeps the names elsewhere

    return PeftType
