"""What a study's trials say: scores, verdicts, advice; nothing of how it is shown."""
