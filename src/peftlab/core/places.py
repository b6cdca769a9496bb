"""Where results live if nobody says where."""

from __future__ import annotations

from pathlib import Path

DEFAULT_WORKSPACE = Path("peftlab-runs")
