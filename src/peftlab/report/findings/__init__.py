"""The findings from a study's trials, without their presentation: scores, verdicts, advice."""
