"""The operations of models/fused as Triton kernels, for GPUs (docs/decisions/0017)."""
