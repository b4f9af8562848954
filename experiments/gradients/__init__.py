"""What `python -m experiments.verify` stands on."""
