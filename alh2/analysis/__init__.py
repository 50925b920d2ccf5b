"""Statistics, radial distributions and adsorbed amounts from trajectories and Monte Carlo series."""
