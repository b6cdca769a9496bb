"""Small files of GLUE in the exact layout of the download script."""
