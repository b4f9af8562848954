"""What the results mean: estimates, tests, claims, verdicts."""
