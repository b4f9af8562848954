"""What is asked: typed configs, the measures there are, and the language of claims."""
