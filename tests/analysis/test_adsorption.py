"""Unit conversions of adsorbed amounts."""

from __future__ import annotations

import pytest

from alh2.analysis.adsorption import (
    cm3_stp_per_g,
    framework_mass_amu,
    molecules_per_cell,
    moles_per_kg,
    weight_percent,
)

CELL = ["C"] * 192 + ["H"] * 80 + ["Al"] * 24 + ["N"] * 24 + ["O"] * 112


def test_al_soc_mof_at_the_loading_of_the_paper() -> None:
    mass = framework_mass_amu(CELL)
    assert mass == pytest.approx(5162.4, abs=0.2)
    assert 0.92 <= weight_percent(24, framework_mass_amu=mass) <= 0.93
    assert moles_per_kg(24, framework_mass_amu=mass) == pytest.approx(4.649, abs=0.001)
    assert cm3_stp_per_g(24, framework_mass_amu=mass) == pytest.approx(104.2, abs=0.1)


def test_units_are_consistent_with_each_other() -> None:
    assert molecules_per_cell(moles_per_kg(7.5, framework_mass_amu=5000.0), framework_mass_amu=5000.0) == 7.5
    assert moles_per_kg(1, framework_mass_amu=1000.0) == 1.0
    assert cm3_stp_per_g(1, framework_mass_amu=1000.0) == pytest.approx(22.414, abs=1e-3)
    assert weight_percent(1, framework_mass_amu=2.016) == pytest.approx(50.0)  # of the sum, not of the framework
    assert weight_percent(0, framework_mass_amu=10.0) == 0.0
    assert moles_per_kg(22.7, framework_mass_amu=5162.4) == pytest.approx(
        cm3_stp_per_g(22.7, framework_mass_amu=5162.4) / 22.414, rel=1e-4
    )


def test_impossible_mass_is_refused() -> None:
    for convert in (moles_per_kg, weight_percent, cm3_stp_per_g, molecules_per_cell):
        with pytest.raises(ValueError, match="positive"):
            convert(1.0, framework_mass_amu=0.0)
    with pytest.raises(KeyError):
        framework_mass_amu(["Qq"])
