"""Compiling the kernels ahead: afterwards a run compiles none."""

from __future__ import annotations

from typing import Any

import numba.core.event
from ase import Atoms

from alh2.gcmc import RigidMolecule, simulate
from alh2.gcmc.compile import compile_kernels
from alh2.potential.load import load_potential


class Compiled(numba.core.event.Listener):  # type: ignore[misc]
    """Names of the functions that are compiled."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def on_start(self, event: Any) -> None:
        self.names.append(event.data["dispatcher"].py_func.__qualname__)

    def on_end(self, event: Any) -> None:
        """Nothing: the start says it."""


def test_a_run_compiles_nothing_afterwards(ideal_model: Any) -> None:
    """Another network of another cutoff and other widths: no kernel depends on them."""
    compile_kernels()
    framework = Atoms("Al2", positions=[[1, 1, 1], [5, 5, 5]], cell=[9.0, 9.0, 9.0], pbc=True)
    compiled = Compiled()
    numba.core.event.register("numba:compile", compiled)
    try:
        result = simulate(
            framework, RigidMolecule.h2(bond_length_ang=0.75), load_potential(ideal_model), temperature_k=77.0,
            fugacity_bar=10.0, n_moves=300, seed=3, n_initial=1,
        )  # fmt: skip
    finally:
        numba.core.event.unregister("numba:compile", compiled)
    assert compiled.names == []
    assert result.n_adsorbed.max() > 0


def test_kernels_are_kept_for_other_processes() -> None:
    """Numba finds them again on disk: a kernel of every module has its cache."""
    from alh2.potential import evaluator, kernels, neighbours, sums, walkers

    compile_kernels()
    for module in (evaluator, kernels, neighbours, sums, walkers):
        found = [f for f in vars(module).values() if hasattr(f, "stats") and hasattr(f, "py_func")]
        used = [f for f in found if f.stats.cache_hits or f.stats.cache_misses]
        assert used, module.__name__
        assert all(f.stats.cache_path for f in used)
