"""Labelers behind one protocol, one file each."""
