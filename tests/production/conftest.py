"""What production runs are asked for."""

from __future__ import annotations

import pytest

from alh2.config.model import ProductionConfig


@pytest.fixture(scope="session")
def config() -> ProductionConfig:
    """50 steps of MD, and an isotherm of two pressures from two loadings."""
    return ProductionConfig(
        md_temperature_k=77.0,
        md_loading=2,
        md_steps=50,
        md_dt_ps=0.00025,
        md_sample_every=5,
        isotherm_temperature_k=77.0,
        pressures_bar=(0.5, 5.0),
        n_moves=300,
        n_equilibration=50,
        n_initial=(0, 2),
    )
