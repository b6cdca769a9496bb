"""A stand-in for the Hub on loopback, and its content."""
