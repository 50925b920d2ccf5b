"""``python -m alh2.gcmc.compile``: compile the Monte Carlo kernels now, so that no task has to.

Numba keeps what it compiles beside the modules (or in ``$NUMBA_CACHE_DIR``), for the processor it was compiled on. A
short run on a small random network passes through the kernels of all `se_e2_a` models, since none depends on sizes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

TYPE_MAP = ("Al", "H")
N_MOVES = 120


def compile_kernels() -> None:
    """Run every kernel of the engine once."""
    from ase import Atoms

    from alh2.gcmc import GcmcSettings, RigidMolecule, simulate
    from alh2.potential.load import load_potential

    framework = Atoms("Al2", positions=[[2.0, 2.0, 2.0], [7.0, 7.0, 7.0]], cell=[10.0] * 3, pbc=True)
    with tempfile.TemporaryDirectory(prefix="alh2-compile-") as folder:
        path = Path(folder) / "model.dp"
        _write_random_model(path)
        simulate(
            framework,
            RigidMolecule.h2(bond_length_ang=0.74),
            load_potential(path),
            temperature_k=300.0,
            fugacity_bar=10.0,
            n_moves=N_MOVES,
            seed=1,
            n_initial=2,
            settings=GcmcSettings(n_equilibration=20, sample_every=20),
        )


def _write_random_model(path: Path) -> None:
    from deepmd.dpmodel.model.model import get_model
    from deepmd.dpmodel.utils.serialization import save_dp_model

    descriptor = {
        "type": "se_e2_a", "rcut": 4.0, "rcut_smth": 0.5, "sel": [8, 120], "neuron": [4, 8], "axis_neuron": 4,
        "type_one_side": True, "seed": 1,
    }  # fmt: skip
    description = {
        "type_map": list(TYPE_MAP),
        "descriptor": descriptor,
        "fitting_net": {"neuron": [8, 8, 8], "resnet_dt": True, "seed": 1},
    }
    content = {"backend": "NumPy", "model": get_model(description).serialize(), "model_def_script": description}
    save_dp_model(str(path), content)


if __name__ == "__main__":
    compile_kernels()
