"""Commands killed at every moment of their work and given again: `python -m tests.kills`."""
