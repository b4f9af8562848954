"""What is kept: the run folder and everything in it."""
