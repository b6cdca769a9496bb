"""Checkpoints, packing of stock transformers models, and what they are made of."""

from peftlab.core.process import share_openmp

# Has an effect only before torch is imported, which the modules of this floor do.
share_openmp()
