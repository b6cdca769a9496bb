"""A study drafted from a file of a person's own: what its columns seem to be, and the YAML."""
