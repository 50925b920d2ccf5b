"""Energies for the Monte Carlo engine: any ASE calculator, any DeePMD model."""
