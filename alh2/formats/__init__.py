"""Output files of first-principles codes, read step by step."""
