"""The statistics of many trials together."""
