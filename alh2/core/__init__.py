"""Nouns, units, errors, durable files and random streams shared by every package."""
