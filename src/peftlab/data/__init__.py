"""Rows on their way in: read from where they are, encoded, cut into batches; and predictions."""
