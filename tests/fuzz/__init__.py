"""Bad input of every kind, made from good input by seeded edits: `python -m tests.fuzz`."""
