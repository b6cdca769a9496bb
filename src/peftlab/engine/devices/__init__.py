"""The devices that compute: the processor, GPUs, and any other kind in devices/registry.py."""
