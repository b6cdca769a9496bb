"""The figures, a file each: first plain data, then the drawing."""
