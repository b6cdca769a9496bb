"""What many trials say together."""
