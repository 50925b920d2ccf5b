"""Labelled frames: reading AIMD, the append-only store, checks on what the data determine, first frames."""
