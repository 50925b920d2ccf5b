"""Several simulations side by side, their energies evaluated together where the potential can do that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ase import Atoms

from alh2.gcmc.errors import InterruptedRunError
from alh2.gcmc.molecule import RigidMolecule
from alh2.gcmc.result import GcmcResult
from alh2.gcmc.settings import GcmcSettings
from alh2.gcmc.simulation import simulate
from alh2.potential.protocol import Potential
from alh2.potential.together import GroupClosedError, seating

T = TypeVar("T")


@dataclass(frozen=True)
class Point:
    """One simulation of several on a framework; `settings` as for `simulate`."""

    temperature_k: float
    fugacity_bar: float
    seed: int
    n_initial: int = 0
    settings: GcmcSettings = field(default_factory=GcmcSettings)


def run_together(potential: Potential, jobs: Sequence[Callable[[Potential], T]]) -> list[T]:
    """Answers of `jobs`, each called with a potential of its own, in order.

    Where `potential` can evaluate trials together (``together``), all jobs run at the same time in threads, and each
    gives exactly what it would give alone; jobs must start their sessions on one framework. Otherwise they run one
    after the other. The first error of a job ends all and is raised; a job that was asked to stop (InterruptedRunError)
    lets the others come to their own end first.
    """
    seats = seating(potential, len(jobs)) if len(jobs) > 1 else None
    if seats is None:
        return [job(potential) for job in jobs]

    def sit(number: int) -> T:
        with seats.sitting(number) as own:
            return jobs[number](own)

    with ThreadPoolExecutor(len(jobs)) as pool:
        futures = [pool.submit(sit, number) for number in range(len(jobs))]
        try:
            left = set(futures)
            while left:
                done, left = wait(left, return_when=FIRST_COMPLETED)
                if any(_ends_all(future.exception()) for future in done):
                    seats.close()
        except BaseException:
            seats.close()
            raise
    errors = [error for error in (future.exception() for future in futures) if error is not None]
    for error in errors:
        if not isinstance(error, GroupClosedError):
            raise error
    return [future.result() for future in futures]


def _ends_all(error: BaseException | None) -> bool:
    return error is not None and not isinstance(error, InterruptedRunError)


def simulate_together(
    framework: Atoms, adsorbate: RigidMolecule, potential: Potential, *, points: Sequence[Point], n_moves: int
) -> list[GcmcResult]:
    """`simulate` at each of `points`, with energies evaluated together: the same results as one by one, sooner.

    Callbacks in the settings are called from several threads.
    """
    molecule = adsorbate.resolve(potential)

    def job(point: Point) -> Callable[[Potential], GcmcResult]:
        conditions: dict[str, Any] = {
            "temperature_k": point.temperature_k,
            "fugacity_bar": point.fugacity_bar,
            "seed": point.seed,
            "n_initial": point.n_initial,
        }
        return lambda seat: simulate(framework, molecule, seat, n_moves=n_moves, settings=point.settings, **conditions)

    return run_together(potential, [job(point) for point in points])
