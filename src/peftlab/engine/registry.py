"""The engines by name, without importing any of them."""

from __future__ import annotations

ENGINES = {
    "packed": "no padding between examples; models that cannot be packed run padded and say so",
    "padded": "the plain twin of packed: batches padded to their longest example",
    "trainer": "transformers.Trainer with peft: the peer that the others are measured against",
}

CACHING_ENGINES = ("packed",)
"""Those that can begin from the kept outputs of frozen layers (`cache_frozen`)."""
