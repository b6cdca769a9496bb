"""Checkpoints, the packing of stock transformers models, and the parts of models."""

from peftlab.core.process import share_openmp

# This has an effect only before torch is imported, which the modules of this package do.
share_openmp()
