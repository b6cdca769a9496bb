"""How blocks become files: the page, its tables and figures beside it."""
