"""The checks of `python -m experiments.verify`."""
