"""One training from a config to a finished folder."""
