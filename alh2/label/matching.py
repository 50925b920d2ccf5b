"""Between our atom order and that of first-principles codes, which group atoms by element.

Nothing is taken on trust: an answer is accepted only where elements and positions are those that were asked for.
"""

from __future__ import annotations

import numpy as np

from alh2.core.errors import BadInputError
from alh2.core.frames import Frame, Label
from alh2.formats.trajectory import Step, Trajectory
from alh2.label.protocol import LabelFailure

POSITION_TOLERANCE_ANG = 2e-3
"""Largest distance between an atom asked for and the one answered; OUTCAR prints five decimals."""

CELL_TOLERANCE_ANG = 1e-3


def order_by_type(frame: Frame, type_map: tuple[str, ...]) -> np.ndarray:
    """Indices (n_atoms,) that sort the atoms of `frame` by `type_map`, keeping the order within each element.

    Raises BadInputError for an element that `type_map` does not have.
    """
    for symbol in sorted(set(frame.symbols) - set(type_map)):
        raise BadInputError(
            "type_map", expected=f"the elements of every frame to label, {symbol} too", found=", ".join(type_map)
        )
    index = {symbol: i for i, symbol in enumerate(type_map)}
    return np.argsort([index[symbol] for symbol in frame.symbols], kind="stable")


def formula(symbols: tuple[str, ...]) -> str:
    """Elements with counts in the order of appearance, e.g. "Al3 O14 C6 H9"; `symbols` are grouped by element."""
    names = list(dict.fromkeys(symbols))
    return " ".join(f"{name}{symbols.count(name)}" for name in names)


def poscar(frame: Frame, type_map: tuple[str, ...]) -> str:
    """`frame` as POSCAR, atoms grouped by element in the order of `type_map`.

    Its title is the formula: VASP repeats it in OUTCAR, where it is compared with the elements of POTCAR.
    """
    order = order_by_type(frame, type_map)
    symbols = tuple(frame.symbols[i] for i in order)
    names = list(dict.fromkeys(symbols))
    rows = [*frame.cell_ang, *frame.positions_ang[order]]
    numbers = [" ".join(f"{x:21.16f}" for x in row) for row in rows]
    head = [formula(symbols), "1.0", *numbers[:3], " ".join(names), " ".join(str(symbols.count(n)) for n in names)]
    return "\n".join([*head, "Cartesian", *numbers[3:]]) + "\n"


def label_from(
    trajectory: Trajectory, frame: Frame, type_map: tuple[str, ...], *, labeler: str
) -> Label | LabelFailure:
    """Energy and forces of the one step of `trajectory`, in the atom order and orientation of `frame`."""
    if len(trajectory.steps) != 1:
        return LabelFailure(f"{len(trajectory.steps)} ionic steps where one was asked for")
    step = trajectory.steps[0]
    order = order_by_type(frame, type_map)
    wanted = tuple(frame.symbols[i] for i in order)
    if len(step.symbols) != frame.n_atoms:
        return LabelFailure(f"{len(step.symbols)} atoms where {frame.n_atoms} were asked for")
    if step.symbols != wanted:
        return LabelFailure(f"the atoms are {formula(step.symbols)}, asked for were {formula(wanted)}")
    arrays = (step.positions_ang, step.cell_ang, step.forces_ev_ang, step.energy_ev)
    if not all(np.isfinite(values).all() for values in arrays):
        return LabelFailure("energy, forces, positions or cell are not finite")
    turned = _periodic_rotation(step, frame) if trajectory.periodic else _free_rotation(step, frame, order)
    if turned is None:
        return LabelFailure("the cell is not the one asked for")
    rotation, offset = turned
    delta = step.positions_ang @ rotation + offset - frame.positions_ang[order]
    if trajectory.periodic:
        fractional = delta @ np.linalg.inv(frame.cell_ang)
        delta = (fractional - np.round(fractional)) @ frame.cell_ang
    worst = float(np.linalg.norm(delta, axis=1).max())
    if worst > POSITION_TOLERANCE_ANG:
        return LabelFailure(f"an atom is {worst:.3f} Å from where it was asked for: the output is of another geometry")
    forces = np.empty((frame.n_atoms, 3))
    forces[order] = step.forces_ev_ang @ rotation
    return Label(float(step.energy_ev), forces, labeler)


def _periodic_rotation(step: Step, frame: Frame) -> tuple[np.ndarray, np.ndarray] | None:
    """Rotation from the answer's orientation to ours (row vectors times it), None where the cells differ."""
    try:
        rotation = np.linalg.solve(step.cell_ang, frame.cell_ang)
    except np.linalg.LinAlgError:
        return None
    length = float(np.linalg.norm(frame.cell_ang, axis=1).max())
    if np.abs(rotation @ rotation.T - np.eye(3)).max() * length > CELL_TOLERANCE_ANG:
        return None
    return rotation, np.zeros(3)


def _free_rotation(step: Step, frame: Frame, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and shift that put the answer on our atoms best (Kabsch, Acta Cryst. A 32, 922, 1976)."""
    ours = frame.positions_ang[order]
    centre, own = step.positions_ang.mean(axis=0), ours.mean(axis=0)
    u, _, vt = np.linalg.svd((step.positions_ang - centre).T @ (ours - own))
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt)) or 1.0])
    rotation = u @ flip @ vt
    return rotation, own - centre @ rotation
