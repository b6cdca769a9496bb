"""The executors, which run trials; a new executor is registered in registry.py."""
