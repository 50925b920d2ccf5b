"""What stops a simulation."""

from __future__ import annotations

from alh2.core.errors import Alh2Error


class UntrustworthyEnergyError(Alh2Error):
    """The potential returned NaN or minus infinity, or its trials do not add up to its full energy."""
