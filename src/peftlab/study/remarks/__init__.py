"""Remarks on a study before compute is spent: on its settings, rows, labels and checkpoint."""
