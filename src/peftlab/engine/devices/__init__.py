"""What computes: the processor, a card, or whatever else joins in devices/registry.py."""
