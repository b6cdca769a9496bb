"""Checkpoints, packing of stock transformers models, and what they are made of."""
