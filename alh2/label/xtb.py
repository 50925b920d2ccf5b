"""Labels by extended tight binding: tblite, periodic, Γ point (GFN1-xTB by default).

Conversions are those of CODATA 2014, which ASE uses and with which this project's stored frames were computed: with
them a recomputed energy of the stored frames agrees to 7e-8 eV, with CODATA 2018 it is off by 8e-9 of the total
energy (2e-5 eV at -2500 eV), which would be a step between old and new labels.

SCF noise of the forces (largest component, 30 node frames): up to 1.3e-4 eV/Å at tblite's accuracy 1, 1.5e-5 eV/Å at
0.1, the default here, for about 6 % more time. Stored forces differ from tightly converged ones by up to 2e-4 eV/Å,
which is noise of the accuracy-1 size. Γ-point GFN2-xTB of tblite 0.8.0 works too: its forces agree with finite
differences to 4e-6 eV/Å.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from alh2.core.frames import Frame
from alh2.label.files import EnergyForces, LabelError, WorkerLabeler
from alh2.label.params import choice, integer, number, reject_unknown

BOHR_ANG = 0.5291772105638411
"""One bohr in Å (CODATA 2014)."""

HARTREE_EV = 27.211386024367243
"""One hartree in eV (CODATA 2014)."""

BOLTZMANN_HARTREE_PER_K = 8.6173303e-5 / HARTREE_EV
"""Boltzmann constant, hartree/K (CODATA 2014)."""

METHODS = ("GFN1-xTB", "GFN2-xTB", "IPEA1-xTB")
SHORTEST_DISTANCE_ANG = 0.3
DEFAULTS = {"method": "GFN1-xTB", "accuracy": 0.1, "max_iterations": 250, "electronic_temperature_k": 300.0}
KEYS = (*DEFAULTS, "threads")


def make(params: Mapping[str, Any], *, type_map: tuple[str, ...], where: str) -> WorkerLabeler:
    """Labeler "xtb".

    params : method, accuracy (tblite's SCF and integral thresholds, smaller is tighter), max_iterations (SCF),
    electronic_temperature_k, threads (OpenMP threads of one task, default 1)

    Raises BadInputError for unknown keys, values out of range and elements without parameters.
    """
    from tblite.interface import symbols_to_numbers

    from alh2.core.errors import BadInputError

    reject_unknown(params, KEYS, where)
    checked: dict[str, Any] = {
        "method": choice(params, "method", "GFN1-xTB", where=where, valid=METHODS),
        "accuracy": number(params, "accuracy", 0.1, where=where, low=1e-4, high=1e3),
        "max_iterations": integer(params, "max_iterations", 250, where=where, low=1),
        "electronic_temperature_k": number(params, "electronic_temperature_k", 300.0, where=where, low=0.0),
        "threads": integer(params, "threads", 1, where=where, low=1),
    }
    for symbol in type_map:
        try:
            supported = symbols_to_numbers([symbol])[0] <= 86
        except KeyError:
            supported = False
        if not supported:
            raise BadInputError("type_map", expected="elements H to Rn (xTB has no others)", found=f'"{symbol}"')
    return WorkerLabeler(f"{checked['method']}/tblite", "xtb", checked)


def compute(frame: Frame, params: Mapping[str, Any]) -> EnergyForces:
    """Energy and forces of `frame`; raises LabelError with tblite's message where the SCF does not converge."""
    from tblite.exceptions import TBLiteRuntimeError, TBLiteValueError
    from tblite.interface import Calculator, symbols_to_numbers

    settings = {**DEFAULTS, **params}
    _reject_overlap(frame)
    said: list[str] = []
    try:
        calculator = Calculator(
            settings["method"],
            np.array(symbols_to_numbers(list(frame.symbols))),
            frame.positions_ang / BOHR_ANG,
            lattice=frame.cell_ang / BOHR_ANG,
            periodic=np.array([True, True, True]),
            color=False,
            logger=said.append,
        )
        calculator.set("verbosity", 0)
        calculator.set("accuracy", settings["accuracy"])
        calculator.set("max-iter", settings["max_iterations"])
        calculator.set("temperature", settings["electronic_temperature_k"] * BOLTZMANN_HARTREE_PER_K)
        result = calculator.singlepoint()
        energy = float(result.get("energy")) * HARTREE_EV
        forces = -np.asarray(result.get("gradient")) * (HARTREE_EV / BOHR_ANG)
    except (TBLiteRuntimeError, TBLiteValueError) as error:
        raise LabelError(str(error)) from None
    return EnergyForces(energy, forces, " ".join(said).strip())


def _reject_overlap(frame: Frame) -> None:
    """Raise LabelError for atoms on top of each other, for which tblite returns a finite but meaningless energy."""
    if not np.isfinite(frame.positions_ang).all():
        raise LabelError("positions are not finite")
    scaled = frame.positions_ang @ np.linalg.inv(frame.cell_ang)
    for i in range(frame.n_atoms - 1):
        delta = scaled[i + 1 :] - scaled[i]
        distance = np.linalg.norm((delta - np.round(delta)) @ frame.cell_ang, axis=1)
        if distance.min() < SHORTEST_DISTANCE_ANG:
            j = i + 1 + int(distance.argmin())
            raise LabelError(f"atoms {i} and {j} are {distance.min():.3f} Å apart")
