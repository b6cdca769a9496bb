"""Python's way to all that the command line does: studies, trials, and what comes of them."""
