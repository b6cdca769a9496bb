"""Commands killed at every moment of what they do, and given again: `python -m tests.kills`."""
