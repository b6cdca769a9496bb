"""Where trials run; a new executor joins in registry.py."""
