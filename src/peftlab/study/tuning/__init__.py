"""The search for settings: what is tried, the trials of it, and what it has come to."""
