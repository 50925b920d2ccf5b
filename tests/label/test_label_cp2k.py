"""Labels by CP2K itself, through DP-GEN's inputs and dpdata's reader: H2, its force, a turned cell, the node."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alh2.config.model import HostConfig, LabelConfig
from alh2.core.atoms import from_atoms
from alh2.core.frames import Frame, Label, Provenance
from alh2.label.local import LocalRun, label_frames
from alh2.label.protocol import LabelFailure
from alh2.label.registry import make_labeler
from alh2.structure.hosts import build_host
from alh2.structure.loading import load_h2

CP2K = next((name for name in ("cp2k.psmp", "cp2k.popt", "cp2k.ssmp", "cp2k") if shutil.which(name)), "")
HARTREE_EV = 27.211386

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not CP2K and os.environ.get("CI") != "true",
        reason="CP2K is not installed (Debian and Ubuntu: apt-get install cp2k)",
    ),
]


def settings(elements: tuple[str, ...], *, basis: str, max_scf: int = 40) -> dict[str, Any]:
    """DP-GEN's ``user_fp_params``: PBE, GTH pseudopotentials, a coarse grid."""
    electrons = {"H": 1, "C": 4, "O": 6, "Al": 3}
    return {
        "FORCE_EVAL": {
            "DFT": {
                "BASIS_SET_FILE_NAME": "BASIS_MOLOPT",
                "POTENTIAL_FILE_NAME": "GTH_POTENTIALS",
                "MGRID": {"CUTOFF": 250, "REL_CUTOFF": 40, "NGRIDS": 4},
                "QS": {"EPS_DEFAULT": "1.0E-10"},
                "SCF": {
                    "SCF_GUESS": "ATOMIC",
                    "EPS_SCF": "1.0E-6",
                    "MAX_SCF": max_scf,
                    "OT": {"MINIMIZER": "DIIS", "PRECONDITIONER": "FULL_SINGLE_INVERSE"},
                },
            },
            "SUBSYS": {
                "KIND": {
                    "_": list(elements),
                    "POTENTIAL": [f"GTH-PBE-q{electrons[element]}" for element in elements],
                    "BASIS_SET": [basis] * len(elements),
                }
            },
        }
    }


def labels_of(frames: list[Frame], folder: Path, type_map: tuple[str, ...], **kind: Any) -> list[Label | LabelFailure]:
    config = LabelConfig(
        "cp2k", {"user_fp_params": settings(type_map, **kind), "fp_pp_path": ".", "fp_pp_files": []}, 1.0
    )
    labeler = make_labeler(config, type_map=type_map)
    data = os.environ.get("CP2K_DATA_DIR", "/usr/share/cp2k")
    program = f"CP2K_DATA_DIR={data} OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 {CP2K} -i input.inp"
    return label_frames(labeler, frames, LocalRun(folder, jobs=2, timeout_s=800.0, program=program))


def h2(bond_ang: float, cell_ang: np.ndarray, direction: np.ndarray) -> Frame:
    middle = cell_ang.sum(axis=0) / 2
    half = 0.5 * bond_ang * direction
    return Frame(("H", "H"), np.array([middle - half, middle + half]), cell_ang, 0)


def test_h2_has_its_energy_and_the_force_is_the_slope(tmp_path):
    bonds = (0.78, 0.80, 0.82)
    axis = np.array([0.0, 0.6, 0.8])
    labels = labels_of([h2(bond, np.eye(3) * 7.0, axis) for bond in bonds], tmp_path, ("H",), basis="DZVP-MOLOPT-GTH")
    assert all(isinstance(label, Label) for label in labels), labels
    low, middle, high = labels
    # PBE energy of the molecule at its minimum is -1.166 Hartree; the basis and the box cost some mHartree
    assert middle.energy_ev / HARTREE_EV == pytest.approx(-1.16, abs=0.015)
    pull = (middle.forces_ev_ang[1] - middle.forces_ev_ang[0]) @ axis / 2
    slope = (high.energy_ev - low.energy_ev) / (bonds[2] - bonds[0])
    # third derivative of the bond, 210 eV/Å³, times 0.02²/6 is 0.014; the rest is for the coarse grid
    assert pull == pytest.approx(-slope, abs=0.05)
    assert pull < -1.0  # stretched: the atoms are pulled together
    assert np.abs(middle.forces_ev_ang.sum(axis=0)).max() < 0.02


def test_a_turned_skewed_cell_comes_back_in_our_orientation(tmp_path):
    skewed = np.array([[7.0, 0.0, 0.0], [1.0, 7.0, 0.0], [0.5, -0.7, 7.0]])
    angle = 0.9
    turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
    direction = np.array([0.6, 0.0, 0.8])
    frames = [h2(0.85, skewed, direction), h2(0.85, skewed @ turn, direction @ turn)]
    straight, turned = labels_of(frames, tmp_path, ("H",), basis="SZV-MOLOPT-GTH")
    assert turned.energy_ev == pytest.approx(straight.energy_ev, abs=1e-4)
    assert np.abs(turned.forces_ev_ang - straight.forces_ev_ang @ turn).max() < 5e-3
    assert np.abs(straight.forces_ev_ang).max() > 1.0


def test_too_few_scf_steps_are_a_failure(tmp_path):
    (answer,) = labels_of([h2(0.75, np.eye(3) * 7.0, np.array([0, 0, 1.0]))], tmp_path, ("H",), basis="SZV-MOLOPT-GTH",
                          max_scf=2)  # fmt: skip
    assert answer == LabelFailure('not converged: output has "SCF run NOT converged"')


@pytest.mark.skipif("ALH2_CP2K_NODE" not in os.environ, reason="takes minutes: set ALH2_CP2K_NODE=1 to run it")
def test_the_node_with_h2_is_labelled_in_our_atom_order(tmp_path):
    atoms = build_host(HostConfig("node", None, "node", 21.67, 13.0))
    host = from_atoms(atoms, n_host=len(atoms), host_id="node", provenance=Provenance("test"))
    loaded = load_h2(atoms, 1, rng=np.random.default_rng(1), prefer_open_sites=True)
    frame = from_atoms(loaded, n_host=len(atoms), host_id="node", provenance=Provenance("test"))
    types = ("Al", "O", "C", "H")
    answers = labels_of([frame, host], tmp_path, types, basis="SZV-MOLOPT-SR-GTH", max_scf=150)
    assert all(isinstance(answer, Label) for answer in answers), answers
    with_h2, bare = answers
    # the guest on the open site hardly changes the host's forces, which atoms in the wrong order would
    change = np.abs(with_h2.forces_ev_ang[: host.n_host] - bare.forces_ev_ang)
    assert np.abs(bare.forces_ev_ang).max() > 2.0
    assert change.max() < 0.5
    assert np.abs(with_h2.forces_ev_ang.sum(axis=0)).max() < 1.0
