"""The writing of blocks to files: the page, and its tables and figures beside it."""
