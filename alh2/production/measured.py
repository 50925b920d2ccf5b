"""Measured isotherms from files: NIST-ISODB JSON, AIF, and CSV, all to bar and mol per kilogram of bare framework."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from alh2.analysis.adsorption import STP_MOLAR_VOLUME_CM3
from alh2.core.errors import BadInputError
from alh2.core.files import read_json
from alh2.core.units import H2_MASS_AMU

WeightOf = Literal["host", "both"]
"""What weight percent are of: 100 m(H2)/m(host), or 100 m(H2)/(m(host) + m(H2))."""

PRESSURES_BAR = {
    "bar": 1.0,
    "mbar": 1e-3,
    "pa": 1e-5,
    "kpa": 1e-2,
    "mpa": 10.0,
    "atm": 1.01325,
    "torr": 1.01325 / 760.0,
    "mmhg": 1.01325 / 760.0,
    "psi": 6894.757293168e-5,
}
LOADINGS_MOL_PER_KG = {
    "mmol/g": 1.0,
    "mol/kg": 1.0,
    "mol/g": 1e3,
    "cm3(stp)/g": 1e3 / STP_MOLAR_VOLUME_CM3,
    "ml(stp)/g": 1e3 / STP_MOLAR_VOLUME_CM3,
    "mg/g": 1.0 / H2_MASS_AMU,
    "g/kg": 1.0 / H2_MASS_AMU,
    "g/g": 1e3 / H2_MASS_AMU,
}
_HYDROGEN = ("hydrogen", "h2", "ufhflcqgniynrp-uhfffaoysa-n", "dihydrogen", "normal hydrogen")
"""Names of the gas and its InChIKey, in lower case."""
_CSV_LOADINGS = {
    "loading_mol_per_kg": "mol/kg",
    "loading_mmol_per_g": "mmol/g",
    "loading_wt_percent": "wt%",
    "loading_cm3_stp_per_g": "cm3(STP)/g",
    "loading_mg_per_g": "mg/g",
}


@dataclass(frozen=True, eq=False)
class MeasuredIsotherm:
    """An isotherm of H2 from a file.

    pressure_bar, loading_mol_per_kg : (n,), per kilogram of bare framework
    kind : "measured", "simulated" or "unknown", as the file says; amount : "absolute", "excess" or "unknown"
    source : where it comes from, in words (DOI, table, who digitised it); units : of the file, and how wt% were read
    """

    path: Path
    material: str
    temperature_k: float
    pressure_bar: np.ndarray
    loading_mol_per_kg: np.ndarray
    kind: str
    amount: str
    source: str
    units: str

    @property
    def label(self) -> str:
        """For a legend: material, temperature, kind of data, provenance."""
        what = ", ".join(word for word in (self.kind, self.amount) if word != "unknown") or "kind not said"
        return f"{self.material}, {self.temperature_k:g} K ({what}; {self.source})"


def read_measured(path: Path, *, weight_of: WeightOf = "host") -> MeasuredIsotherm:
    """The isotherm in `path`: ``.json`` (NIST-ISODB), ``.aif``, or ``.csv``.

    A CSV file has a line of headers with ``pressure_bar`` (or another unit) and one of ``loading_mol_per_kg``,
    ``loading_mmol_per_g``, ``loading_wt_percent``, ``loading_cm3_stp_per_g``, ``loading_mg_per_g``; lines before it
    such as ``# temperature_k: 77``, ``# material: …``, ``# source: …`` say what it is.

    weight_of : what the file's wt% are of, which the formats do not tell
    Raises BadInputError for files of another kind, other gases, relative pressures and unknown units.
    """
    if not path.is_file():
        raise BadInputError(str(path), expected="a measured isotherm", found="no such file", action="check the path")
    readers = {".json": _read_nist, ".aif": _read_aif, ".csv": _read_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise BadInputError(str(path), expected="a name ending in .json (NIST-ISODB), .aif or .csv", found=path.suffix)
    return reader(path, weight_of)


def to_mol_per_kg(values: Sequence[float] | np.ndarray, unit: str, *, where: str, weight_of: WeightOf) -> np.ndarray:
    """Loadings of H2 in `unit` as mol per kilogram of bare framework; raises BadInputError for an unknown unit."""
    loadings = np.asarray(values, dtype=np.float64)
    name = "".join(unit.lower().split()).replace("³", "3").replace("^", "")
    if name in LOADINGS_MOL_PER_KG:
        result: np.ndarray = loadings * LOADINGS_MOL_PER_KG[name]
    elif name in ("wt%", "%wt", "wt.%", "%mass"):
        share = loadings / 100.0
        ratio = share if weight_of == "host" else share / (1.0 - share)
        result = 1e3 * ratio / H2_MASS_AMU
    else:
        known = ", ".join([*LOADINGS_MOL_PER_KG, "wt%"])
        raise BadInputError(where, expected=f"a unit of loading out of {known}", found=unit)
    return result


def _read_nist(path: Path, weight_of: WeightOf) -> MeasuredIsotherm:
    """NIST/ARPA-E isotherm JSON. A loading is the total, or where that is null that of the one species."""
    tree = read_json(path)
    try:
        names = [gas["name"] for gas in tree["adsorbates"]] + [gas["InChIKey"] for gas in tree["adsorbates"]]
        rows = [(row["pressure"], _total(row)) for row in tree["isotherm_data"]]
        units = (tree["pressureUnits"], tree["adsorptionUnits"])
        material, temperature_k = tree["adsorbent"]["name"], float(tree["temperature"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BadInputError(str(path), expected="a NIST-ISODB isotherm", found=f"no {error}") from None
    if len(tree["adsorbates"]) != 1:
        raise BadInputError(str(path), expected="one gas", found=", ".join(names))
    _check_gas(path, names)
    told = [str(tree.get("articleSource", "")), tree.get("digitizer") and f"digitised by {tree['digitizer']}"]
    source = [f"doi:{tree['DOI']}"] if tree.get("DOI") else []
    source += [word for word in told if word and "UNKNOWN" not in word]
    kind = {"exp": "measured", "sim": "simulated"}.get(str(tree.get("category", "")), "unknown")
    facts = {
        "material": material,
        "kind": kind,
        "amount": str(tree.get("isotherm_type", "")),
        "source": ", ".join(source),
    }
    return _measured(path, rows, units, temperature_k, facts, weight_of)


def _total(row: Mapping[str, Any]) -> float:
    total = row.get("total_adsorption")
    return float(row["species_data"][0]["adsorption"] if total is None else total)


def _read_aif(path: Path, weight_of: WeightOf) -> MeasuredIsotherm:
    """Adsorption branch of an AIF file, through gemmi."""
    from gemmi import cif

    try:
        block = cif.read_file(str(path)).sole_block()
    except (RuntimeError, ValueError) as error:
        raise BadInputError(str(path), expected="an AIF file", found=str(error).splitlines()[0]) from None

    def pair(*names: str) -> str:
        found = next((value for name in names if (value := block.find_value(name)) is not None), "")
        text = cif.as_string(found)
        return "" if text in ("?", ".") else text

    table = block.find("_adsorp_", ["pressure", "amount"])
    units = (pair("_units_pressure"), pair("_units_loading"))
    temperature = pair("_exptl_temperature")
    try:
        rows = [(float(cif.as_number(row[0])), float(cif.as_number(row[1]))) for row in table]
        temperature_k = float(temperature) + (273.15 if pair("_units_temperature").upper() in ("C", "°C") else 0.0)
    except ValueError:
        raise BadInputError(str(path), expected="_exptl_temperature and numbers", found=repr(temperature)) from None
    _check_gas(path, [pair("_exptl_adsorptive")])
    doi = pair("_citation_doi", "_exptl_doi")
    words = [f"doi:{doi}" if doi else "", pair("_citation_source"), pair("_exptl_operator"), pair("_pygaps_software")]
    method = pair("_exptl_method", "_pygaps_iso_type").lower()
    kind = "simulated" if method.startswith("sim") else "measured" if method else "unknown"
    facts = {
        "material": pair("_adsnt_material_id", "_sample_material_id", "_adsnt_sample_id"),
        "kind": kind,
        "amount": pair("_exptl_isotherm_type", "_pygaps_amount").lower(),
        "source": ", ".join(word for word in words if word),
    }
    return _measured(path, rows, units, temperature_k, facts, weight_of)


def _read_csv(path: Path, weight_of: WeightOf) -> MeasuredIsotherm:
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    notes = [line.lstrip("# ").split(":", 1) for line in lines if line.startswith("#") and ":" in line]
    told = {key.strip().lower(): value.strip() for key, value in notes}
    reader = csv.DictReader([line for line in lines if line.strip() and not line.startswith("#")])
    columns = [name.strip().lower() for name in reader.fieldnames or []]
    pressure = next((c for c in columns if c.removeprefix("pressure_") in PRESSURES_BAR), None)
    loading = next((c for c in columns if c in _CSV_LOADINGS), None)
    if pressure is None or loading is None:
        expected = f"columns pressure_bar and one of {', '.join(_CSV_LOADINGS)}"
        raise BadInputError(str(path), expected=expected, found=", ".join(columns) or "no header")
    try:
        table = [{k.strip().lower(): v for k, v in row.items() if k} for row in reader]
        rows = [(float(row[pressure]), float(row[loading])) for row in table]
        temperature_k = float(told["temperature_k"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInputError(str(path), expected="numbers, and a line # temperature_k: 77", found=str(error)) from None
    _check_gas(path, [told.get("gas", "hydrogen")])
    facts = {name: told.get(name, "") for name in ("material", "kind", "amount", "source")}
    units = (pressure.removeprefix("pressure_"), _CSV_LOADINGS[loading])
    return _measured(path, rows, units, temperature_k, facts, weight_of)


def _measured(
    path: Path,
    rows: Sequence[tuple[float, float]],
    units: tuple[str, str],
    temperature_k: float,
    facts: Mapping[str, str],
    weight_of: WeightOf,
) -> MeasuredIsotherm:
    pressure_unit, loading_unit = units
    if pressure_unit.lower() not in PRESSURES_BAR:
        expected = f"a unit of pressure out of {', '.join(PRESSURES_BAR)}"
        raise BadInputError(str(path), expected=expected, found=pressure_unit or "none")
    table = np.array(rows, dtype=np.float64).reshape(-1, 2)
    if not len(table) or not np.isfinite(table).all() or not temperature_k > 0.0:
        found = f"{len(table)} of them, some not finite" if len(table) else "none"
        raise BadInputError(str(path), expected="finite pressures and loadings", found=found)
    told = f"{pressure_unit}, {loading_unit}"
    if "%" in loading_unit:
        told += " of the framework" if weight_of == "host" else " of framework and H2 together"
    amount = facts["amount"] if facts["amount"] in ("absolute", "excess") else "unknown"
    return MeasuredIsotherm(
        path=path,
        material=facts["material"] or path.stem,
        temperature_k=temperature_k,
        pressure_bar=table[:, 0] * PRESSURES_BAR[pressure_unit.lower()],
        loading_mol_per_kg=to_mol_per_kg(table[:, 1], loading_unit, where=str(path), weight_of=weight_of),
        kind=facts["kind"] or "unknown",
        amount=amount,
        source=facts["source"] or path.name,
        units=told,
    )


def _check_gas(path: Path, names: Sequence[str]) -> None:
    if not any(name.strip().lower() in _HYDROGEN for name in names):
        raise BadInputError(str(path), expected="an isotherm of hydrogen", found=names[0] if names else "no gas")
