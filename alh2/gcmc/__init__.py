"""Grand-canonical Monte Carlo; knows nothing of campaigns."""

from alh2.core.statistics import Estimate, mean_and_error
from alh2.gcmc.bias import InsertionBias, insertion_bias
from alh2.gcmc.energy_grid import HostEnergyGrid, host_energy_grid
from alh2.gcmc.errors import InterruptedRunError, UntrustworthyEnergyError
from alh2.gcmc.flexible import simulate_flexible
from alh2.gcmc.fugacity import fugacity_bar
from alh2.gcmc.hybrid import FlexibleSettings, HybridRecord
from alh2.gcmc.molecule import RigidMolecule
from alh2.gcmc.restart import RestartSettings
from alh2.gcmc.result import GcmcFrame, GcmcResult, MoveAcceptance
from alh2.gcmc.settings import GcmcSettings, MoveWeights
from alh2.gcmc.simulation import simulate
from alh2.gcmc.trajectory import TrajectorySettings
from alh2.gcmc.widom import WidomResult, widom

__all__ = [
    "Estimate",
    "FlexibleSettings",
    "GcmcFrame",
    "GcmcResult",
    "GcmcSettings",
    "HostEnergyGrid",
    "InsertionBias",
    "HybridRecord",
    "InterruptedRunError",
    "MoveAcceptance",
    "MoveWeights",
    "RestartSettings",
    "RigidMolecule",
    "TrajectorySettings",
    "UntrustworthyEnergyError",
    "WidomResult",
    "fugacity_bar",
    "host_energy_grid",
    "insertion_bias",
    "mean_and_error",
    "simulate",
    "simulate_flexible",
    "widom",
]
