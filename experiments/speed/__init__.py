"""What `python -m experiments.benchmark` stands on."""
