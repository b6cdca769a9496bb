"""The command line's work as Python: studies, trials, and what comes out of them."""
