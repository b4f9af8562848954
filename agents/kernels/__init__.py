"""The formulas of training, compiled; each is tested against its readable counterpart."""
