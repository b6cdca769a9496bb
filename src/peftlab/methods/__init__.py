"""Ways of fine-tuning: which tensors of a checkpoint train, what is added, what is saved."""
