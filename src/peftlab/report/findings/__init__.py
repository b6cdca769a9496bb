"""The findings of a study's trials: scores, verdicts, advice; nothing of how it is shown."""
