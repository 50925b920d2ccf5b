"""Synthetic committees whose errors are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from alh2.assess.calibration import DeviationSample


@dataclass(frozen=True)
class SyntheticCommittee:
    """Models = truth + sigma * (common * shared noise + own noise), with sigma drawn anew for each frame.

    Then <error²> / <deviation²> = common² + 1/n_models, exactly, for every distribution of sigma.
    """

    n_models: int
    common: float
    spread_of_sigma: float = 0.5

    @property
    def factor(self) -> float:
        """RMS error over RMS deviation in the limit of many frames."""
        return float(np.sqrt(self.common**2 + 1 / self.n_models))

    def draw(self, rng: np.random.Generator, n_frames: int, *, per_frame: int = 1) -> DeviationSample:
        """Deviations and errors of `n_frames` frames; values of one frame share sigma and half of the shared noise."""
        n = n_frames * per_frame
        frame = np.repeat(np.arange(n_frames), per_frame)
        sigma = 0.02 * rng.lognormal(0.0, self.spread_of_sigma, n_frames)[frame]
        half = np.sqrt(0.5) if per_frame > 1 else 1.0
        shared = half * rng.standard_normal(n_frames)[frame]
        if per_frame > 1:
            shared = shared + half * rng.standard_normal(n)
        models = sigma * (self.common * shared + rng.standard_normal((self.n_models, n)))
        return DeviationSample(models.std(axis=0, ddof=1), models.mean(axis=0), frame)


@pytest.fixture(scope="session")
def synthetic() -> Callable[..., SyntheticCommittee]:
    """The class :class:`SyntheticCommittee`."""
    return SyntheticCommittee
