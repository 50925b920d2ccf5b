"""Isotherms for other programs: pyGAPS isotherm objects, AIF, pyGAPS's CSV and JSON, and one plain table.

AIF: Evans et al., Langmuir 37, 4222 (2021). pyGAPS: Iacomi and Llewellyn, Adsorption 25, 1533 (2019).
"""

from __future__ import annotations

import csv
import io
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from alh2 import __version__
from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_text
from alh2.production.committee_interval import NORMAL_95
from alh2.production.isotherm_result import UNITS, Isotherm

if TYPE_CHECKING:
    from pygaps import PointIsotherm

Amount = Literal["absolute", "excess"]
TABLE_FILE = "isotherm.csv"
NAN = math.nan


def to_pygaps(isotherm: Isotherm, temperature_k: float, *, amount: Amount = "absolute") -> PointIsotherm:
    """Points of one temperature as a pyGAPS isotherm of hydrogen: bar, mmol per gram of bare framework.

    Columns besides pressure and loading: ``fugacity`` (bar) and, where every point has one, ``loading_error`` (one
    standard error of the statistics) and ``loading_half_width_95`` (with the committee's errors).
    What was computed and how stands in its properties. Raises BadInputError where there are no such points.
    """
    points = [p for p in isotherm.at(temperature_k) if amount == "absolute" or not math.isnan(p.n_excess)]
    if not points:
        raise BadInputError("isotherm", expected=f"{amount} amounts at {temperature_k:g} K", found="none")
    import pandas

    pygaps = _pygaps()
    values = [p.n_absolute if amount == "absolute" else p.n_excess for p in points]
    errors = [p.n_absolute_error if amount == "absolute" else p.n_excess_error for p in points]
    halves = [p.half_width_95 if amount == "absolute" else p.excess_half_width_95 for p in points]
    table = {
        "pressure": [p.pressure_bar for p in points],
        "loading": [isotherm.loading(n, "mol/kg") for n in values],
        "fugacity": [p.fugacity_bar for p in points],
    }
    if all(math.isfinite(error) for error in errors):
        table["loading_error"] = [isotherm.loading_error(n, e, "mol/kg") for n, e in zip(values, errors, strict=True)]
        table["loading_half_width_95"] = [
            isotherm.loading_error(n, e, "mol/kg") for n, e in zip(values, halves, strict=True)
        ]
    return pygaps.PointIsotherm(
        isotherm_data=pandas.DataFrame(table),
        pressure_key="pressure",
        loading_key="loading",
        branch="ads",
        material=isotherm.host.host_id or isotherm.host.formula,
        adsorbate="hydrogen",
        temperature=temperature_k,
        temperature_unit="K",
        pressure_mode="absolute",
        pressure_unit="bar",
        loading_basis="molar",
        loading_unit="mmol",
        material_basis="mass",
        material_unit="g",
        **_properties(isotherm, amount),
    )


def export_isotherm(directory: Path, isotherm: Isotherm) -> list[Path]:
    """Write the table of all points, and per temperature and kind of amount AIF, CSV and JSON of pyGAPS.

    Each file is replaced in one step; returns the paths.
    """
    written = [directory / TABLE_FILE]
    atomic_write_text(written[0], table_csv(isotherm))
    parsing = _pygaps().parsing
    amounts: tuple[Amount, ...] = ("absolute",) if isotherm.void is None else ("absolute", "excess")
    for temperature_k in isotherm.temperatures_k:
        for amount in amounts:
            made = to_pygaps(isotherm, temperature_k, amount=amount)
            stem = f"isotherm.{temperature_k:g}K.{amount}"
            for suffix, text in (
                ("aif", parsing.isotherm_to_aif(made)),
                ("pygaps.csv", parsing.isotherm_to_csv(made)),
                ("pygaps.json", parsing.isotherm_to_json(made)),
            ):
                written.append(directory / f"{stem}.{suffix}")
                atomic_write_text(written[-1], text)
    return written


def table_csv(isotherm: Isotherm) -> str:
    """All points with every unit, one line each; unknown numbers are empty.

    ``_error`` is one standard error of the statistics; half widths are of 95 % intervals.
    """
    names = {"molecules/cell": "molecules_per_cell", "mol/kg": "mol_per_kg", "wt%": "wt_percent"}
    names["cm3(STP)/g"] = "cm3_stp_per_g"
    head = ["temperature_k", "pressure_bar", "fugacity_bar"]
    for amount in ("absolute", "excess"):
        head += [f"{amount}_{names[unit]}{end}" for unit in UNITS for end in ("", "_error")]
    head += ["absolute_half_width_95_molecules_per_cell", "statistical", "committee", "model", "n_models"]
    head += ["heat_kj_per_mol", "heat_error_kj_per_mol", "heat_half_width_95_kj_per_mol"]
    head += ["hysteresis", "at_limit", "n_moves", "reached", "nuclei"]
    rows: list[list[Any]] = []
    for p in isotherm.points:
        row: list[Any] = [p.temperature_k, p.pressure_bar, p.fugacity_bar]
        for n, error in ((p.n_absolute, p.n_absolute_error), (p.n_excess, p.n_excess_error)):
            for unit in UNITS:
                row += [isotherm.loading(n, unit), isotherm.loading_error(n, error, unit)]
        c = p.committee
        parts = [c.n_absolute.statistical, c.n_absolute.committee, c.n_absolute.model] if c is not None else [NAN] * 3
        heat = NORMAL_95 * p.heat_error_kj_per_mol if c is None else c.heat_kj_per_mol.half_width_95
        row += [p.half_width_95, *parts, 1 if c is None else len(c.members)]
        row += [p.heat_kj_per_mol, p.heat_error_kj_per_mol, heat]
        rows.append([*row, int(p.hysteresis), p.at_limit, p.n_moves, int(p.reached), isotherm.host.nuclei])
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([["" if isinstance(v, float) and math.isnan(v) else v for v in row] for row in rows])
    return buffer.getvalue()


def _properties(isotherm: Isotherm, amount: Amount) -> dict[str, Any]:
    """What a reader elsewhere must know; no quotes, commas or line breaks, which pyGAPS does not escape."""
    host = isotherm.host
    known: dict[str, Any] = {
        "iso_type": "sim",
        "amount": amount,
        "method": f"grand-canonical Monte Carlo, rigid H2, frozen framework, {host.nuclei}",
        "software": f"alh2 {__version__}",
        "potential": host.potential,
        "framework_formula": host.formula,
        "framework_mass_amu": host.mass_amu,
        "cell_volume_ang3": host.volume_ang3,
        "h2_bond_length_ang": host.bond_length_ang,
    }
    if amount == "excess" and isotherm.void is not None:
        known |= {"void_fraction": isotherm.void.fraction, "void_fraction_by": isotherm.void.words}
    return {k: _plain(v) if isinstance(v, str) else v for k, v in known.items()}


def _plain(words: str) -> str:
    return " ".join(words.replace("'", "").replace(",", ";").split())


def _pygaps() -> Any:
    """The package, without its chatter on stdout."""
    logging.getLogger("pygaps").setLevel(logging.ERROR)
    import pygaps
    import pygaps.parsing

    logging.getLogger("pygaps").setLevel(logging.ERROR)
    return pygaps
