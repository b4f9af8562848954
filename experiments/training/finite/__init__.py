"""Learning in finite worlds, by table look-up."""
