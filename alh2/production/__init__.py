"""Runs with the converged committee."""
