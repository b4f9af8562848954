"""How it is trained: a generator of records."""
