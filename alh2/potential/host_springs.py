"""Springs between the atoms of a host, under the networks that learn its energy.

With r the distance of two atoms up to three bonds apart (nearest image) and q = r - r_0 from its mean over the frames
of the fit,

    E = E_0 + sum_pairs (a q + b q²/2),

which knows bonds, angles (1-3) and torsions (1-4), whatever way the host turns, and holds it together where no frame
has been. The networks learn what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import shortest_path
from scipy.sparse.linalg import lsqr
from threadpoolctl import threadpool_limits

from alh2.core.atoms import to_atoms
from alh2.core.errors import BadInputError
from alh2.core.frames import Label, LabelledFrame
from alh2.potential.frames_npz import read_npz, write_npz
from alh2.structure.topology import bonded_pairs, plane_spacings_ang

MOST_BONDS = 3
LONGEST = 0.45
"""Of the narrowest spacing of the cell's faces: beyond, the nearest image may become another one."""
DAMPING, TYPICAL_EV_ANG, TYPICAL_EV_ANG2 = 0.05, 1.0, 20.0
"""Weight, in rows of 1 eV/Å, that keeps a and b near zero on scales that are typical of them."""


@dataclass(frozen=True, eq=False)
class HostSprings:
    """Fitted springs of a host with `n_atoms` atoms.

    pairs : (n_pairs, 2); rest_ang : (n_pairs,) r_0
    pull_ev_ang, stiffness_ev_ang2 : (n_pairs,) a and b; constant_ev : E_0
    scale : the networks were trained on `scale` times what the springs leave
    """

    n_atoms: int
    pairs: np.ndarray
    rest_ang: np.ndarray
    pull_ev_ang: np.ndarray
    stiffness_ev_ang2: np.ndarray
    constant_ev: float
    scale: float = 1.0

    def evaluate(self, positions_ang: np.ndarray, cell_ang: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy (eV) and forces (n_atoms, 3) eV/Å of the host at (n_atoms, 3) Å."""
        vectors, r = _separations(positions_ang[None], cell_ang, self.pairs)
        q = r[0] - self.rest_ang
        slope = self.pull_ev_ang + self.stiffness_ev_ang2 * q
        on_first = (slope / r[0])[:, None] * vectors[0]
        forces = np.zeros((self.n_atoms, 3))
        np.add.at(forces, self.pairs[:, 0], on_first)
        np.add.at(forces, self.pairs[:, 1], -on_first)
        energy = self.constant_ev + float(np.sum((self.pull_ev_ang + 0.5 * self.stiffness_ev_ang2 * q) * q))
        return energy, forces

    def save(self, path: Path) -> None:
        """Write as npz, in one step."""
        numbers = np.array([self.constant_ev, self.scale])
        write_npz(
            path, n_atoms=np.array(self.n_atoms), pairs=self.pairs, rest_ang=self.rest_ang, numbers=numbers,
            pull_ev_ang=self.pull_ev_ang, stiffness_ev_ang2=self.stiffness_ev_ang2,
        )  # fmt: skip


def load_host_springs(path: Path) -> HostSprings:
    """What `HostSprings.save` wrote; raises BadInputError for a file of another kind."""
    data = read_npz(path, "n_atoms", "pairs", "rest_ang", "numbers", "pull_ev_ang", "stiffness_ev_ang2")
    constant_ev, scale = data["numbers"].tolist()
    return HostSprings(
        int(data["n_atoms"]), data["pairs"], data["rest_ang"], data["pull_ev_ang"], data["stiffness_ev_ang2"],
        constant_ev, scale,
    )  # fmt: skip


def fit_host_springs(hosts: Sequence[LabelledFrame]) -> HostSprings:
    """Springs nearest to the forces of `hosts`, bare ones with the same atoms; bonds are those of the lowest energy.

    Damped least squares (Paige and Saunders, *ACM Trans. Math. Softw.* 1982, 8, 43), in which frames with larger forces
    than most weigh less. Raises BadInputError for hosts that differ in atoms or cell.
    """
    first = min(hosts, key=lambda each: each.label.energy_ev).frame
    for each in hosts:
        if each.frame.symbols != first.symbols or not np.allclose(each.frame.cell_ang, first.cell_ang):
            raise BadInputError(
                "labels of the bare host", expected=f"{first.n_atoms} atoms in one order and cell in all of them",
                found="others", action="use --frozen-host",
            )  # fmt: skip
    positions = np.array([each.frame.positions_ang for each in hosts])
    pairs = near_pairs(to_atoms(first))
    vectors, r = _separations(positions, first.cell_ang, pairs)
    rest = r.mean(axis=0)
    units = vectors / r[..., None]
    scales = np.repeat([TYPICAL_EV_ANG, TYPICAL_EV_ANG2], len(pairs))
    rows = _rows(units, r - rest, pairs, first.n_atoms) @ _diagonal(scales)
    wanted = np.array([each.label.forces_ev_ang.ravel() for each in hosts])
    size = np.sqrt(np.mean(wanted**2, axis=1))
    weight = np.repeat(np.minimum(1.0, np.median(size) / np.maximum(size, 1e-12)), wanted.shape[1])
    rows, right = _diagonal(weight) @ rows, weight * wanted.ravel()
    with threadpool_limits(limits=1, user_api="blas"):  # the same to the last digit wherever it is repeated
        found = lsqr(rows, right, damp=DAMPING, atol=1e-10, btol=1e-10, iter_lim=20_000)[0] * scales
    pull, stiffness = found[: len(pairs)], found[len(pairs) :]
    springs = HostSprings(first.n_atoms, pairs, rest, pull, stiffness, 0.0)
    left = [each.label.energy_ev - springs.evaluate(each.frame.positions_ang, first.cell_ang)[0] for each in hosts]
    return HostSprings(first.n_atoms, pairs, rest, pull, stiffness, float(np.mean(left)))


def host_rest(springs: HostSprings, labelled: LabelledFrame) -> LabelledFrame:
    """`springs.scale` times what the springs leave of the label of a bare host."""
    energy, forces = springs.evaluate(labelled.frame.positions_ang, labelled.frame.cell_ang)
    label = Label(
        springs.scale * (labelled.label.energy_ev - energy),
        springs.scale * (labelled.label.forces_ev_ang - forces),
        labelled.label.labeler,
    )
    return LabelledFrame(labelled.frame, label, label)


def near_pairs(host: Atoms) -> np.ndarray:
    """Pairs i < j of atoms up to `MOST_BONDS` bonds apart, (n_pairs, 2), whose nearest image is unmistakable."""
    bonds = bonded_pairs(host)
    n = len(host)
    graph = csr_matrix((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(n, n))
    apart = shortest_path(graph, directed=False, unweighted=True)
    i, j = np.nonzero(np.triu(apart <= MOST_BONDS, 1))
    pairs = np.stack([i, j], axis=1)
    _, r = _separations(host.positions[None], host.cell.array, pairs)
    return pairs[r[0] < LONGEST * plane_spacings_ang(host.cell.array).min()]


def _separations(positions_ang: np.ndarray, cell_ang: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (n_frames, n_pairs, 3) to the nearest image and their lengths, Å."""
    vectors = positions_ang[:, pairs[:, 1]] - positions_ang[:, pairs[:, 0]]
    vectors = vectors - np.round(vectors @ np.linalg.inv(cell_ang)) @ cell_ang
    return vectors, np.linalg.norm(vectors, axis=2)


def _rows(units: np.ndarray, q: np.ndarray, pairs: np.ndarray, n_atoms: int) -> csr_matrix:
    """Forces per a and b, (n_frames * n_atoms * 3, 2 n_pairs); units (n_frames, n_pairs, 3), q (n_frames, n_pairs)."""
    n_frames, n_pairs = q.shape
    frame = np.arange(n_frames)[:, None, None]
    values, rows, columns = [], [], []
    for k, factor in enumerate((np.ones_like(q), q)):
        for atom, sign in ((pairs[:, 0], 1.0), (pairs[:, 1], -1.0)):
            values.append((sign * factor[..., None] * units).ravel())
            rows.append(((frame * n_atoms + atom[None, :, None]) * 3 + np.arange(3)).ravel())
            columns.append(np.broadcast_to(k * n_pairs + np.arange(n_pairs)[None, :, None], units.shape).ravel())
    shape = (n_frames * n_atoms * 3, 2 * n_pairs)
    return coo_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=shape).tocsr()


def _diagonal(values: np.ndarray) -> csr_matrix:
    n = len(values)
    return csr_matrix((values, (np.arange(n), np.arange(n))), shape=(n, n))
