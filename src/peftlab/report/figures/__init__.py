"""The figures, one file each: first plain data, then the drawing."""
