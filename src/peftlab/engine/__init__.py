"""The training of one trial, its measurements, and the loading of a trained one."""
