"""`python -m peftlab`: the command line."""

from peftlab.cli.app import entry

if __name__ == "__main__":
    entry()
