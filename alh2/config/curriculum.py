"""The curriculum over loadings: which loadings a campaign explores one after the other, from what the target states."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CurriculumConfig:
    """``alh2.curriculum``: the target, and the way to it.

    temperatures_k, pressures_bar, max_loading : what production may ask about
    start_loading : of the AIMD, where the first models know most; step : H2 between two loadings
    fugacity_factor : highest fugacity explored, as a multiple of that at the highest pressure
    """

    temperatures_k: tuple[float, ...]
    pressures_bar: tuple[float, ...]
    max_loading: int
    start_loading: int
    step: int
    fugacity_factor: float

    @property
    def rungs(self) -> tuple[tuple[int, ...], ...]:
        """Loadings of each rung: the start, then all below it down to empty, then upwards one at a time.

        With start 24 and step 8 to 48: (24), (0, 8, 16), (32), (40), (48). A higher target adds rungs at the end.
        """
        below = sorted({0, *range(self.start_loading - self.step, 0, -self.step)}) if self.start_loading else []
        above = range(self.start_loading + self.step, self.max_loading + 1, self.step)
        return ((self.start_loading,), *((tuple(below),) if below else ()), *((n,) for n in above))

    def top(self, rung: int) -> int:
        """Highest loading explored up to `rung`."""
        return max(n for loadings in self.rungs[: rung + 1] for n in loadings)

    def words(self, rung: int) -> str:
        """Loadings of `rung` in words."""
        return f"{', '.join(str(n) for n in self.rungs[rung])} H2"
