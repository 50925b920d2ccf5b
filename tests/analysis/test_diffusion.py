"""Diffusion of random walks whose D is known, and Arrhenius lines."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alh2.analysis.diffusion import (
    ANG2_PER_PS_IN_M2_PER_S,
    arrhenius,
    diffusion_coefficient,
    mean_squared_displacement,
    yeh_hummer_m2_s,
)

D_ANG2_PER_PS = 0.19
DT_PS = 0.5


def walk(rng: np.random.Generator, *, frames: int = 600, molecules: int = 12, d: float = D_ANG2_PER_PS) -> np.ndarray:
    """Independent Gaussian steps of variance 2 D dt per direction."""
    steps = rng.normal(scale=math.sqrt(2 * d * DT_PS), size=(frames, molecules, 3))
    return np.cumsum(steps, axis=0)


@pytest.mark.physics
def test_random_walk_has_its_d_within_the_interval() -> None:
    """D = 0.19 Å²/ps = 1.9e-9 m²/s, two replicas; the error is near what 24 molecules in 300 ps can tell."""
    rng = np.random.default_rng(5)
    displacement, group = mean_squared_displacement([walk(rng), walk(rng)], dt_ps=DT_PS)
    np.testing.assert_allclose(displacement.msd_ang2[:5], 6 * D_ANG2_PER_PS * displacement.time_ps[:5], rtol=0.1)
    assert displacement.linear_from_ps is not None and displacement.linear_from_ps < 20 * DT_PS
    found = diffusion_coefficient(displacement, group, seed=3)
    assert found is not None
    exact = D_ANG2_PER_PS * ANG2_PER_PS_IN_M2_PER_S
    assert exact == pytest.approx(1.9e-9)
    # the best estimator of a random walk uses single steps: relative variance 2/(3·24·600)
    assert math.sqrt(2 / (3 * 24 * 600)) * exact < found.standard_deviation < 0.15 * exact
    assert abs(found.mean - exact) < 4 * found.standard_deviation
    assert found.low < found.mean < found.high
    again = diffusion_coefficient(displacement, group, seed=3)
    assert again == found


@pytest.mark.physics
def test_means_of_many_walks_scatter_as_the_interval_says() -> None:
    """The MSD errors: the scatter of the MSD at one lag over 30 walks is what each of them says of itself."""
    rng = np.random.default_rng(8)
    values, errors = [], []
    for _ in range(30):
        displacement, _ = mean_squared_displacement([walk(rng, frames=200, molecules=6)], dt_ps=DT_PS)
        values.append(displacement.msd_ang2[10])
        errors.append(displacement.error_ang2[10])
    assert 0.55 < np.std(values, ddof=1) / np.mean(errors) < 1.45


def test_molecules_in_cages_do_not_diffuse() -> None:
    """Vibration about fixed places has no linear regime, ballistic flight neither."""
    rng = np.random.default_rng(2)
    cage = rng.normal(scale=0.3, size=(200, 8, 3))
    displacement, group = mean_squared_displacement([cage], dt_ps=DT_PS)
    assert displacement.linear_from_ps is None and diffusion_coefficient(displacement, group, seed=1) is None
    short = walk(rng, frames=40, molecules=2)
    assert mean_squared_displacement([short], dt_ps=DT_PS)[0].linear_from_ps is None, "too few paths to tell"
    flight = np.arange(200)[:, None, None] * rng.normal(size=(8, 3))[None]
    assert mean_squared_displacement([flight], dt_ps=DT_PS)[0].linear_from_ps is None


def test_short_and_unequal_trajectories_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 20 frames"):
        mean_squared_displacement([np.zeros((5, 2, 3))], dt_ps=1.0)
    with pytest.raises(ValueError, match="of one length"):
        mean_squared_displacement([np.zeros((30, 2, 3)), np.zeros((40, 2, 3))], dt_ps=1.0)


@pytest.mark.physics
def test_arrhenius_line_is_exact_and_its_error_propagates() -> None:
    """E_a = 4.3 kJ/mol; with two temperatures the error is that of the difference of ln D."""
    r = 8.31446261815324e-3
    temperatures = [66.0, 88.0]
    d = [1e-8 * math.exp(-4.3 / (r * t)) for t in temperatures]
    found = arrhenius(temperatures, d, [0.1 * x for x in d])
    assert found is not None
    assert found.activation_kj_per_mol == pytest.approx(4.3, rel=1e-8)
    assert found.log_prefactor == pytest.approx(math.log(1e-8), rel=1e-8)
    assert found.activation_error_kj_per_mol == pytest.approx(r * math.sqrt(2) * 0.1 / (1 / 66 - 1 / 88), rel=1e-8)
    assert arrhenius([77.0], [1e-9], [1e-10]) is None
    with pytest.raises(ValueError, match="positive"):
        arrhenius([77.0, 88.0], [1e-9, -1e-9], [1e-10, 1e-10])


def test_yeh_hummer_by_hand() -> None:
    """Water at 298 K, 0.85 mPa s, 20 Å: 1.380649e-23·298·2.837297/(6π·8.5e-4·2e-9) = 3.6429e-10 m²/s."""
    assert yeh_hummer_m2_s(298.0, viscosity_pa_s=8.5e-4, edge_ang=20.0) == pytest.approx(3.643e-10, rel=1e-3)
