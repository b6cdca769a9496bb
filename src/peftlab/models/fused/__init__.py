"""The operations of an encoder, each as a compiled kernel for the CPU and a plain torch twin."""
