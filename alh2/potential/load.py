"""The fastest exact potential of a DeePMD model file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from alh2.core.errors import BadInputError
from alh2.potential.deeppot import DeepPotPotential, check_model_file
from alh2.potential.pair_baseline import load_pair_baseline
from alh2.potential.protocol import Potential


class DescribedPotential(Potential, Protocol):
    """A potential that can say in one line what it is."""

    def describe(self) -> str:
        """One line for logs and reports."""


class _Fallback(DeepPotPotential):
    """Full energies, with the reasons why no faster ones are possible."""

    def __init__(self, model_file: Path, reason: str) -> None:
        super().__init__(model_file)
        self._reason = reason

    def describe(self) -> str:
        """One line for logs and reports."""
        return f"{super().describe()}; {self._reason}"


def load_potential(model_file: Path | Sequence[Path], *, pair_baseline: Path | None = None) -> DescribedPotential:
    """Potential of `model_file` by the fastest exact way.

    Incremental sums for `se_e2_a` models; else local energies of the affected atoms for frozen models of finite range;
    else full energies by DeepPot.

    pair_baseline : the pair potential whose rest the model was trained on; added to it
    Of several files (a committee) the first is the potential. `describe()` says which way was taken, and why where
    it is the slow one. Raises BadInputError for a file that is absent, corrupt, or no energy model.
    """
    if isinstance(model_file, (str, Path)):
        path = Path(model_file)
    elif len(model_file):
        path = Path(model_file[0])
    else:
        raise BadInputError("model files", expected="at least one DeePMD model", found="none")
    check_model_file(path)
    if pair_baseline is not None:
        from alh2.potential.pair_session import PairBaselinePotential

        model = load_potential(path)
        described = f"{model.describe()}, plus the pair baseline {pair_baseline}"
        return PairBaselinePotential(model, load_pair_baseline(pair_baseline), described)
    from alh2.potential.generic import LocalPotential
    from alh2.potential.incremental import IncrementalPotential

    try:
        return IncrementalPotential(path)
    except BadInputError as error:
        refused = str(error)
    try:
        return LocalPotential(path, reason=refused)
    except BadInputError as error:
        return _Fallback(path, f"not incremental: {refused}; not local: {error}")
