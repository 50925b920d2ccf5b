"""Held-out errors, coverage and the convergence verdict."""
