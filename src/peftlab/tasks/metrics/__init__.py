"""Metrics: how well answers or logits fit the labels, each registered in registry.py."""
