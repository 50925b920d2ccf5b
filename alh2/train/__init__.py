"""Committees of DeePMD models."""
