"""A stand-in for the Hub on loopback, and what it serves."""
