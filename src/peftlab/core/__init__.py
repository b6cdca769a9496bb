"""Types, errors, identity and registries: what every other floor stands on."""
