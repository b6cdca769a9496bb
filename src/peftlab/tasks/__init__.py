"""Labelled text problems: what their rows look like, where they are, how they are scored."""
