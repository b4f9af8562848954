"""The measurements of `python -m experiments.benchmark`."""
