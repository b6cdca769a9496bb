"""The report of a study, made from measured trials only."""
