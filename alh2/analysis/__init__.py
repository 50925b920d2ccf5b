"""Radial distribution, adsorption and other observables of trajectories."""
