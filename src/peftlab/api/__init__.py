"""The Python interface to everything that the command line does: studies, trials, and what comes
of them."""
