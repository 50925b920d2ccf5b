"""Isosteric heats by Clausius–Clapeyron against isotherms whose heat is known exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alh2.analysis.heats import R_KJ_PER_MOL_K, IsothermCurve, clausius_clapeyron

FUGACITIES_BAR = np.geomspace(1e-3, 50.0, 60)
HEAT_KJ_PER_MOL = 6.0


def langmuir(temperature_k: float, *, error: float = 0.0, saturation: float = 16.0) -> IsothermCurve:
    """N = N_max bf/(1 + bf) with b = b0 exp(q/RT): the heat is q at every loading."""
    b = 1e-3 * math.exp(HEAT_KJ_PER_MOL / (R_KJ_PER_MOL_K * temperature_k))
    n = saturation * b * FUGACITIES_BAR / (1.0 + b * FUGACITIES_BAR)
    return IsothermCurve(temperature_k, FUGACITIES_BAR, n, np.full(n.size, error))


@pytest.mark.physics
@pytest.mark.parametrize("temperatures_k", [(77.0, 88.0), (66.0, 77.0, 88.0)])
def test_langmuir_site_has_its_heat_at_every_loading(temperatures_k: tuple[float, ...]) -> None:
    found = clausius_clapeyron([langmuir(t) for t in temperatures_k], rng=np.random.default_rng(1))
    assert len(found) == 8 and found[-1].n_molecules > 10 * found[0].n_molecules
    for heat in found:
        assert heat.heat_kj_per_mol == pytest.approx(HEAT_KJ_PER_MOL, rel=2e-3)
        assert heat.error_kj_per_mol == pytest.approx(0.0, abs=1e-9)


@pytest.mark.physics
def test_ideal_gas_has_the_heat_rt() -> None:
    """N = fV/kT: q = R ln(T2/T1)/(1/T1 - 1/T2), which is RT between the two temperatures."""
    curves = [IsothermCurve(t, FUGACITIES_BAR, FUGACITIES_BAR / t, np.zeros(60)) for t in (100.0, 110.0)]
    exact = R_KJ_PER_MOL_K * math.log(1.1) / (1 / 100.0 - 1 / 110.0)
    assert R_KJ_PER_MOL_K * 100.0 < exact < R_KJ_PER_MOL_K * 110.0
    for heat in clausius_clapeyron(curves, rng=np.random.default_rng(1)):
        assert heat.heat_kj_per_mol == pytest.approx(exact, rel=1e-6)


@pytest.mark.physics
def test_errors_are_those_of_repeated_measurements() -> None:
    """Curves with noise, many times: the scatter of the heats is what each of them says of itself."""
    rng = np.random.default_rng(7)
    coarse = slice(None, None, 6)
    heats, errors = [], []
    for _ in range(25):
        noisy = []
        for temperature_k in (77.0, 88.0):
            curve = langmuir(temperature_k)
            n = curve.n_molecules[coarse]
            noise = 0.02 * n
            noisy.append(
                IsothermCurve(temperature_k, FUGACITIES_BAR[coarse], n + noise * rng.normal(size=n.size), noise)
            )
        (heat,) = clausius_clapeyron(noisy, rng=rng, loadings=[4.0], n_draws=60)
        heats.append(heat.heat_kj_per_mol)
        errors.append(heat.error_kj_per_mol)
    scatter = np.std(heats, ddof=1)
    assert 0.55 < scatter / np.mean(errors) < 1.6
    assert abs(np.mean(heats) - HEAT_KJ_PER_MOL) < 4 * scatter / math.sqrt(25)


def test_without_two_temperatures_or_a_common_range_there_is_no_heat() -> None:
    rng = np.random.default_rng(1)
    assert clausius_clapeyron([langmuir(77.0)], rng=rng) == []
    assert clausius_clapeyron([langmuir(77.0), langmuir(77.0)], rng=rng) == []
    apart = langmuir(88.0)
    apart = IsothermCurve(88.0, apart.fugacity_bar, apart.n_molecules + 100.0, apart.n_error)
    assert clausius_clapeyron([langmuir(77.0), apart], rng=rng) == []
    empty = IsothermCurve(88.0, FUGACITIES_BAR, np.zeros(60), np.zeros(60))
    assert clausius_clapeyron([langmuir(77.0), empty], rng=rng) == []


def test_unknown_errors_stay_unknown() -> None:
    found = clausius_clapeyron([langmuir(77.0, error=math.nan), langmuir(88.0)], rng=np.random.default_rng(1))
    assert all(math.isnan(heat.error_kj_per_mol) and math.isfinite(heat.heat_kj_per_mol) for heat in found)
