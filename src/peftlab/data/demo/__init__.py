"""Three small tasks made by a grammar from word lists that were written for this project."""
