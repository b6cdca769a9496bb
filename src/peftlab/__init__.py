"""A workbench that compares fine-tuning methods with evidence."""

__version__ = "0.1.0"
