"""The libraries' remarks, kept from the user."""

from __future__ import annotations

import os
import warnings


def quiet_libraries() -> None:
    """Keep the libraries' own remarks from the user, for whom they say nothing.

    To be called before transformers is imported. peft 0.21 asks transformers 5.23 for an
    attribute that the latter has deprecated; the filter may go when peft no longer does.
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(peft|transformers)\b")
