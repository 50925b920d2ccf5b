"""Fugacity of the gas outside from its pressure."""

from __future__ import annotations

import math

from alh2.core.errors import BadInputError


def fugacity_bar(pressure_bar: float, temperature_k: float, fluid: str = "Hydrogen") -> float:
    """Fugacity (bar) of the pure `fluid` at `pressure_bar` and `temperature_k`, from its reference equation of state.

    ``"Hydrogen"`` is normal hydrogen (75 % ortho, 25 % para), what a gas bottle holds and what does not change
    within an experiment without a catalyst; ``"ParaHydrogen"`` is the other end. At 77 K they differ by
    0.1 % at 10 bar. Equations: Leachman et al., J. Phys. Chem. Ref. Data 38, 721 (2009), through CoolProp.

    Raises BadInputError for a pressure or temperature that is not positive or outside the equation's range
    (hydrogen: 13.957-1000 K, up to 20000 bar), and for an unknown fluid.
    """
    for name, value, unit in (("pressure", pressure_bar, "bar"), ("temperature", temperature_k, "K")):
        if not (math.isfinite(value) and value > 0.0):
            raise BadInputError(name, expected=f"a positive number of {unit}", found=f"{value} {unit}")
    from CoolProp.CoolProp import PT_INPUTS, AbstractState

    try:
        state = AbstractState("HEOS", fluid)
    except ValueError:
        raise BadInputError(
            "fluid", expected="a CoolProp fluid such as 'Hydrogen' or 'Argon'", found=repr(fluid)
        ) from None
    lowest, highest = state.Tmin(), state.Tmax()
    if not lowest <= temperature_k <= highest:
        raise BadInputError(
            "temperature",
            expected=f"{lowest:g} to {highest:g} K for {fluid}",
            found=f"{temperature_k:g} K",
            action="give the fugacity itself",
        )
    try:
        state.update(PT_INPUTS, pressure_bar * 1e5, temperature_k)
        coefficient = state.fugacity_coefficient(0)
    except ValueError as error:
        raise BadInputError(
            "pressure",
            expected=f"a state of {fluid} within its equation of state at {temperature_k:g} K",
            found=f"{pressure_bar:g} bar ({error})",
        ) from None
    return float(coefficient * pressure_bar)
