"""Learning in simulators, step by step."""
