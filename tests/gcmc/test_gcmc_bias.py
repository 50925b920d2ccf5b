"""Biased insertion: the chain's distribution is that of the unbiased one, and the molecules get where they bind."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.core.units import EV_PER_ANG3_IN_BAR, beta_per_ev
from alh2.gcmc import (
    HostEnergyGrid,
    RigidMolecule,
    UntrustworthyEnergyError,
    host_energy_grid,
    insertion_bias,
    mean_and_error,
    simulate,
)
from alh2.gcmc.energy_grid import CUTS, Placing
from alh2.gcmc.geometry import PeriodicCell

T = 77.0
BETA = beta_per_ev(T)
SKEWED = Atoms(cell=[[9.0, 0.0, 0.0], [3.5, 8.0, 0.0], [-2.0, 3.0, 7.0]], pbc=True)
H2 = RigidMolecule.h2(0.74)
WATER = RigidMolecule(("O", "H", "H"), np.array([[0.0, 0.0, 0.1], [0.0, 0.8, -0.5], [0.0, -0.8, -0.5]]))


def fugacity(z_per_ang3: float) -> float:
    return z_per_ang3 / BETA * EV_PER_ANG3_IN_BAR


def tilted(sites: np.ndarray) -> float:
    """A field of 3 kT that knows place and direction, in the middle of nowhere of the grid."""
    total = sum(math.sin(0.7 * x + 0.4 * y - 0.9 * z) + math.cos(1.1 * z) for x, y, z in sites.tolist())
    return -1.5 / BETA * total


def random_molecules(molecule: RigidMolecule, cell: PeriodicCell, n: int) -> list[np.ndarray]:
    """Molecules uniform in place and direction, from quaternions rather than the module's own functions."""
    from scipy.spatial.transform import Rotation

    rng = np.random.default_rng(3)
    turns = Rotation.random(n, random_state=3)
    return [turn.apply(np.array(molecule.sites_ang)) + rng.random(3) @ cell.matrix_ang for turn in turns]


def made(potential, molecule=H2, framework=SKEWED, **options) -> HostEnergyGrid:
    return host_energy_grid(
        framework,
        molecule,
        potential,
        **{"temperature_k": T, "seed": 1, "spacing_ang": 2.0, "refine_kt": 1.0, **options},
    )


@pytest.mark.parametrize(("molecule", "n_directions"), [(H2, 1), (H2, 8), (WATER, 8), (RigidMolecule.single("Ar"), 8)])
def test_a_molecule_drawn_from_a_leaf_is_found_in_it(independent, molecule, n_directions):
    """Coarse and fine leaves, also seen from another image of the cell; the leaves fill the cell."""
    coarse = made(independent(), molecule, n_directions=n_directions)
    assert coarse.leaves_per_fine_voxel == CUTS**3 * (n_directions if molecule is H2 else 1)
    fine = np.random.default_rng(2).random(coarse.fine.size) < 0.4
    n_leaves = int((~fine).sum() + fine.sum() * coarse.leaves_per_fine_voxel)
    grid = replace(coarse, fine=fine, energies_ev=np.zeros(n_leaves))
    assert len(grid.energies_ev) == len(grid.volumes) == len(grid.voxels)
    assert grid.volumes.sum() == pytest.approx(1.0)
    placing = Placing(grid)
    rng = np.random.default_rng(0)
    for leaf in range(len(grid.energies_ev)):
        sites = placing.sites(leaf, lambda: float(rng.random()))
        assert placing.leaf(sites) == leaf
        assert placing.leaf(sites + np.array([2, -1, 3]) @ grid.cell_ang) == leaf
        assert molecule.fit(sites) == pytest.approx(sites, abs=1e-9)


def test_fine_where_the_host_binds(independent):
    """A well of 20 kT in one corner, across the boundary: the grid is fine there and within one voxel of it."""

    def corner(sites: np.ndarray) -> float:
        x, y, z = ((v + 1.0) % 8.0 for v in sites[0].tolist())
        return -20.0 / BETA if max(x, y, z) < 2.0 else 0.0

    box = Atoms(cell=[8.0] * 3, pbc=True)
    grid = made(independent(corner), RigidMolecule.single("Ar"), box, spacing_ang=1.0, refine_kt=10.0)
    fine = grid.fine.reshape(8, 8, 8)
    expected = np.zeros(8, dtype=bool)
    expected[[6, 7, 0, 1]] = True
    assert np.array_equal(fine, expected[:, None, None] & expected[None, :, None] & expected[None, None, :])
    inside = grid.energies_ev < -1.0 / BETA
    assert grid.volumes[inside].sum() == pytest.approx(8.0 / 512.0)
    assert grid.n_energies == 512 + 64 * CUTS**3


def test_a_budget_refines_the_strongest_voxels(independent):
    def slope(sites: np.ndarray) -> float:
        return -(20.0 + float(sites[0, 0] % 8.0)) / BETA

    box = Atoms(cell=[8.0] * 3, pbc=True)
    grid = made(independent(slope), RigidMolecule.single("Ar"), box, spacing_ang=1.0, refine_kt=10.0, most_refined=128)
    assert np.flatnonzero(grid.fine.reshape(8, 64).all(axis=1)).tolist() == [6, 7]
    assert grid.n_energies == 512 + 128 * CUTS**3


@pytest.mark.physics
@pytest.mark.parametrize("molecule", [H2, WATER], ids=["H2", "water"])
def test_density_is_normalised_and_is_the_one_drawn_from(independent, molecule):
    """Mean of Vq over uniform molecules is 1; drawn molecules fill bins as Vq says (chi-square)."""
    field = tilted if molecule is H2 else (lambda sites: 3.0 / BETA * math.sin(sites[0, 0]))
    grid = made(independent(field), molecule, spacing_ang=4.0, n_directions=4)
    bias = insertion_bias(grid, temperature_k=T, fugacity_bar=fugacity(1e-3))
    cell = PeriodicCell(grid.cell_ang)
    ratios = np.exp([bias.log_ratio(sites) for sites in random_molecules(molecule, cell, 8000)])
    assert ratios.std() > 0.5
    assert abs(ratios.mean() - 1.0) < 4.0 * ratios.std() / math.sqrt(ratios.size)
    placing = Placing(grid)
    uniform = np.random.default_rng(7).random
    n_draws, n_leaves = 20_000, len(grid.energies_ev)
    counts, expected = np.zeros(n_leaves), np.zeros(n_leaves)
    for _ in range(n_draws):
        sites, log_ratio = bias.draw(uniform)
        assert bias.log_ratio(sites) == log_ratio
        counts[placing.leaf(sites)] += 1
    for leaf in range(n_leaves):
        sites = placing.sites(leaf, lambda: 0.5)
        expected[leaf] = n_draws * math.exp(bias.log_ratio(sites)) * grid.volumes[leaf]
    common = expected > 5.0
    chi2 = float(((counts - expected)[common] ** 2 / expected[common]).sum())
    assert common.sum() > 50
    assert abs(chi2 - common.sum()) < 4.0 * math.sqrt(2.0 * common.sum())


def chain(potential, grid, *, weights=None, n_initial=0, **more):
    options = {"n_moves": 80_000, "seed": 5, "max_frames": 0, "sample_every": 4, **more}
    return simulate(
        SKEWED,
        H2,
        potential,
        temperature_k=T,
        fugacity_bar=fugacity(3e-4),
        n_initial=n_initial,
        energy_grid=grid,
        move_weights=weights or {"insertion": 35, "deletion": 25, "translation": 10, "rotation": 10, "reinsertion": 20},
        **options,
    )


def exact_averages(n: int = 200_000) -> tuple[float, float]:
    """<N> and <U> of independent molecules in `tilted`, by plain Monte Carlo integration over place and direction."""
    cell = PeriodicCell(np.array(SKEWED.cell))
    rng = np.random.default_rng(11)
    centres = rng.random((n, 3)) @ cell.matrix_ang
    axes = rng.normal(size=(n, 3))
    axes *= 0.37 / np.linalg.norm(axes, axis=1)[:, None]
    sites = np.stack([centres - axes, centres + axes], axis=1)
    u = -1.5 / BETA * (np.sin(sites @ [0.7, 0.4, -0.9]).sum(axis=1) + np.cos(1.1 * sites[..., 2]).sum(axis=1))
    zv = 3e-4 * cell.volume_ang3
    return zv * float(np.exp(-BETA * u).mean()), zv * float((u * np.exp(-BETA * u)).mean())


@pytest.mark.physics
@pytest.mark.parametrize(("kind", "n_directions"), [("own", 8), ("another", 8), ("another", 1)])
def test_bias_does_not_change_the_result(independent, kind, n_directions):
    """<N>, its variance and <U> of independent molecules: the exact ones, also with the grid of another field."""
    potential = independent(tilted, gas_ev=-3.0)
    other = independent(lambda sites: 1.5 / BETA * math.sin(sites[0, 0] + sites[1, 1]), gas_ev=1.0)
    grid = made(potential if kind == "own" else other, n_directions=n_directions)
    exact_n, exact_u = exact_averages()
    result = chain(potential, grid)
    number = mean_and_error(result.n_adsorbed)
    assert 0.0 < number.standard_error < 0.03 * exact_n
    assert abs(number.mean - exact_n) < 4.0 * number.standard_error + 0.004 * exact_n
    variance = mean_and_error((result.n_adsorbed - exact_n) ** 2)
    assert abs(variance.mean - exact_n) < 4.0 * variance.standard_error
    energy = mean_and_error(result.adsorption_energy_ev)
    assert abs(energy.mean - exact_u) < 4.0 * energy.standard_error + 0.004 * abs(exact_u)
    assert result.acceptance["reinsertion"].accepted > 500


@pytest.mark.physics
def test_reinsertion_alone_samples_the_boltzmann_factor(independent):
    """At fixed N with no other move, biased or not: the energy per molecule is the exact one."""
    potential = independent(tilted)
    exact_n, exact_u = exact_averages()
    ratios = []
    for grid in (None, made(potential, spacing_ang=1.0)):
        result = chain(potential, grid, weights={"reinsertion": 1}, n_initial=3, n_moves=20_000)
        assert (result.n_adsorbed == 3).all()
        energy = mean_and_error(result.adsorption_energy_ev / 3.0)
        assert 0.0 < energy.standard_error < 0.03 / BETA
        assert abs(energy.mean - exact_u / exact_n) < 4.0 * energy.standard_error + 0.004 / BETA
        ratios.append(result.acceptance["reinsertion"].ratio)
    assert ratios[1] > 1.5 * ratios[0] > 0.05


def open_sites() -> tuple[Atoms, dict[str, tuple[float, float, float, float, float]]]:
    """Two "Al" that bind H2 by 8 kJ/mol from one side only, the others blocked by carbon; a box of 13 Å."""
    shape = np.array([[0, 0, 0], [2, 0, 0], [-2, 0, 0], [0, 2, 0], [0, -2, 0], [0, 0, -2]], dtype=float)
    positions = np.concatenate([shape + [3.2, 3.2, 3.0], shape + [9.7, 9.7, 9.5]])
    wells = {"Al": (1e-9, 2.0, 0.045, 2.71, 1.6), "C": (0.001, 2.9, 0.0, 1.0, 1.0)}
    return Atoms("AlC5AlC5", positions, cell=[13.0] * 3, pbc=True), wells


@pytest.mark.physics
def test_bias_mixes_faster_per_energy(pair_potential):
    """Two open sites at 77 K: empty and loaded starts agree with each other and with uniform insertions, and an
    independent sample costs a fraction of the energies."""
    host, wells = open_sites()
    potential = pair_potential(0.00075, 2.7, 6.0, wells)
    grid = host_energy_grid(host, H2, potential, temperature_k=T, seed=1, spacing_ang=0.7)
    found = {}
    for name, used, n_initial in (("uniform", None, 0), ("biased", grid, 0), ("loaded", grid, 5)):
        found[name] = simulate(
            host, H2, potential, temperature_k=T, fugacity_bar=1e-3, n_moves=40_000, seed=4, n_initial=n_initial,
            energy_grid=used, max_frames=0,
        ).n_adsorbed_estimate  # fmt: skip
    plain, biased, loaded = (found[name] for name in ("uniform", "biased", "loaded"))
    assert abs(biased.mean - loaded.mean) < 4.0 * math.hypot(biased.standard_error, loaded.standard_error)
    assert abs(biased.mean - plain.mean) < 4.0 * math.hypot(biased.standard_error, plain.standard_error)
    assert min(biased.n_effective, loaded.n_effective) > 3.0 * plain.n_effective


def test_grid_tells_overlaps_and_counts_energies(independent):
    host = Atoms("C", [[2.0, 2.0, 2.0]], cell=[8.0] * 3, pbc=True)
    potential = independent(lambda sites: 0.25, gas_ev=-7.0)
    first, again, other = (
        made(potential, RigidMolecule.single("Ar"), host, seed=seed, spacing_ang=1.0, min_distance_ang=2.5)
        for seed in (1, 1, 2)
    )
    overlaps = int(np.isinf(first.energies_ev).sum())
    assert overlaps / 512 == pytest.approx(4.0 / 3.0 * math.pi * 2.5**3 / 512, abs=0.03)
    assert first.n_energies == 512 - overlaps
    assert first.energies_ev[np.isfinite(first.energies_ev)] == pytest.approx(0.25)
    assert again.digest == first.digest != other.digest


def test_a_host_without_room_is_drawn_from_evenly(independent):
    bias = insertion_bias(made(independent(lambda sites: math.inf)), temperature_k=T, fugacity_bar=1.0)
    assert bias.log_ratio(H2.sites_ang) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"spacing_ang": 0.0}, "spacing_ang: expected a positive length"),
        ({"spacing_ang": 0.001}, "make it larger"),
        ({"n_directions": 3}, "1 or an even number"),
    ],
)
def test_bad_grids_are_one_line(independent, options, words):
    with pytest.raises(BadInputError) as caught:
        made(independent(lambda sites: -1.0), **options)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_grid_of_another_system_is_refused(independent):
    grid = made(independent())
    for cell, molecule, word in ((SKEWED, WATER, "another molecule"), (Atoms(cell=[9.0] * 3, pbc=True), H2, "cell")):
        with pytest.raises(BadInputError, match=word):
            simulate(cell, molecule, independent(), temperature_k=T, fugacity_bar=1.0, n_moves=10, seed=1,
                     energy_grid=grid)  # fmt: skip
    with pytest.raises(BadInputError, match="floor"):
        insertion_bias(grid, temperature_k=T, fugacity_bar=1.0, floor=0.0)
    with pytest.raises(UntrustworthyEnergyError, match="nan eV"):
        made(independent(lambda sites: math.nan))
