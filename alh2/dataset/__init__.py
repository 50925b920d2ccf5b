"""Append-only labelled frames, AIMD ingestion, composition checks."""
