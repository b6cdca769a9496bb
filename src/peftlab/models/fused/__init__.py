"""The inner loops of an encoder: each a compiled kernel for the CPU beside its plain torch twin."""
