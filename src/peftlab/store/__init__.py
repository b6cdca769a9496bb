"""Results on disk: records in one SQLite file, artifacts in folders beside it."""
