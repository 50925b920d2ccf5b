"""Exported isotherms read back by the libraries of their formats; measured ones read with the right units."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gemmi import cif

from alh2.core.errors import BadInputError
from alh2.production.isotherm_export import export_isotherm, table_csv, to_pygaps
from alh2.production.isotherm_result import CoverageHeat, HenryPoint, HostFacts, Isotherm, IsothermPoint, VoidFacts
from alh2.production.measured import read_measured, to_mol_per_kg
from alh2.report.figures_isotherm import comparison_figure, heat_figure
from alh2.report.stored import read_figures, save_figure

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference"
PRESSURES_BAR = (0.01, 0.15, 1.0)


@pytest.fixture
def isotherm() -> Isotherm:
    """Three pressures at two temperatures, excess amounts with them."""
    points = tuple(
        IsothermPoint(
            t, p, 0.999 * p, 1e-5 * p, n, 0.02 * n, n - 0.1 * p, 0.021 * n, 6.5, 0.3, 0.5, False, 1000, True, ()
        )
        for t, factor in ((77.0, 1.0), (88.0, 0.4))
        for p, n in zip(PRESSURES_BAR, (3.0 * factor, 24.0 * factor, 40.0 * factor), strict=True)
    )
    host = HostFacts("al-soc-mof", "C192H80Al24N24O112", 5162.0, 10175.0, "model 'a' of\nthe test", 0.75, None)
    henry = HenryPoint(77.0, 300.0, 5.0, 5.8e-4, 1e-5, 7.0, 0.2, 1000, 500.0, True)
    heats = (CoverageHeat(5.0, 6.4, 0.4, (77.0, 88.0)),)
    return Isotherm(host, VoidFacts("helium", "helium's", 0.8, 0.001), points, (henry,), heats)


def test_files_read_back_by_pygaps(isotherm: Isotherm, tmp_path: Path) -> None:
    written = export_isotherm(tmp_path, isotherm)
    assert len(written) == 1 + 2 * 2 * 3 and all(path.is_file() for path in written)
    import pygaps.parsing as parsing

    for path, reader in (
        ("isotherm.77K.absolute.pygaps.json", parsing.isotherm_from_json),
        ("isotherm.77K.absolute.pygaps.csv", parsing.isotherm_from_csv),
    ):
        read = reader(str(tmp_path / path))
        assert read == to_pygaps(isotherm, 77.0)
        np.testing.assert_allclose(read.pressure(pressure_unit="bar"), PRESSURES_BAR)
        np.testing.assert_allclose(
            read.loading(loading_basis="molar", loading_unit="mmol", material_basis="mass", material_unit="g"),
            np.array([3.0, 24.0, 40.0]) / 5.162,
            rtol=1e-7,
        )
        # 24 H2 are 104.212 cm³(STP)/g (tests of the units); pyGAPS takes 22.414 L/mol
        volumes = read.loading(loading_basis="molar", loading_unit="cm3(STP)", material_basis="mass", material_unit="g")
        assert volumes[1] == pytest.approx(104.212, rel=1e-4)
        assert read.temperature == 77.0 and str(read.adsorbate) == "hydrogen" and str(read.material) == "al-soc-mof"
        np.testing.assert_allclose(
            read.other_data("loading_error"), 0.02 * np.array([3.0, 24.0, 40.0]) / 5.162, rtol=1e-6
        )
    excess = parsing.isotherm_from_json(str(tmp_path / "isotherm.88K.excess.pygaps.json"))
    assert excess.loading()[2] == pytest.approx((16.0 - 0.1) / 5.162, rel=1e-7)
    assert excess.properties["amount"] == "excess" and excess.properties["void_fraction"] == 0.8


def test_aif_reads_back_by_gemmi_and_as_a_measured_isotherm(isotherm: Isotherm, tmp_path: Path) -> None:
    """pyGAPS' own reader of AIF does not work with pandas 3 (``to_numeric(errors="ignore")``); the file is CIF."""
    export_isotherm(tmp_path, isotherm)
    path = tmp_path / "isotherm.77K.absolute.aif"
    block = cif.read_file(str(path)).sole_block()
    assert block.find_value("_units_pressure") == "bar" and block.find_value("_units_loading") == "'mmol/g'"
    assert [float(row[0]) for row in block.find("_adsorp_", ["pressure"])] == list(PRESSURES_BAR)
    read = read_measured(path)
    assert (read.temperature_k, read.material, read.kind, read.amount) == (77.0, "al-soc-mof", "simulated", "absolute")
    np.testing.assert_allclose(read.pressure_bar, PRESSURES_BAR)
    np.testing.assert_allclose(read.loading_mol_per_kg, np.array([3.0, 24.0, 40.0]) / 5.162, rtol=1e-7)
    assert "alh2" in read.label


def test_unknown_errors_are_left_out_not_invented(isotherm: Isotherm, tmp_path: Path) -> None:
    points = (replace(isotherm.points[0], n_absolute_error=math.nan, n_excess=math.nan), *isotherm.points[1:3])
    partly = replace(isotherm, points=points)
    assert "loading_error" not in to_pygaps(partly, 77.0).other_keys
    assert len(to_pygaps(partly, 77.0, amount="excess").pressure()) == 2
    rows = list(csv.DictReader(table_csv(partly).splitlines()))
    assert rows[0]["absolute_wt_percent_error"] == "" and rows[0]["excess_mol_per_kg"] == ""
    assert float(rows[1]["absolute_wt_percent"]) == pytest.approx(0.928607, abs=1e-6)
    assert float(rows[1]["absolute_molecules_per_cell_error"]) == pytest.approx(0.48)
    with pytest.raises(BadInputError, match="absolute amounts at 99 K"):
        to_pygaps(isotherm, 99.0)
    export_isotherm(tmp_path, partly)


def need_reference(name: str) -> Path:
    path = REFERENCE / name
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return path


def test_nist_files_by_hand() -> None:
    """In-soc-MOF: 0.132877 wt% at 0.00511174 bar; a loading given only for the species; In-soc-MOF-1a from a table."""
    read = read_measured(need_reference("10.1002anie.200604306.Isotherm2.json"))
    assert (read.temperature_k, read.material, read.kind) == (78.0, "C24H21In3N4O22", "unknown")
    assert read.pressure_bar[0] == 0.00511174
    assert read.loading_mol_per_kg[0] == pytest.approx(1.32877 / 2.016, rel=1e-9)  # g/kg over g/mol
    assert "doi:10.1002/anie.200604306" in read.label and "kind not said" in read.label
    both = read_measured(read.path, weight_of="both")
    assert both.loading_mol_per_kg[0] == pytest.approx(1e3 * 0.00132877 / (1 - 0.00132877) / 2.016, rel=1e-9)
    table = read_measured(need_reference("10.1021acs.jced.1c00951.Isotherm15.json"))
    assert table.loading_mol_per_kg[0] == pytest.approx(19.1 / 2.016, rel=1e-9) and table.kind == "measured"
    assert "Table S4 Part 1, digitised by Patrick Donahue" in table.label
    simulated = read_measured(need_reference("10.1021cg5018104.Isotherm1.json"))
    assert (simulated.kind, simulated.amount) == ("simulated", "absolute")
    with pytest.raises(BadInputError, match="isotherm of hydrogen, found Nitrogen"):
        read_measured(need_reference("10.1002anie.200604306.Isotherm1.json"))


def test_csv_of_ones_own_and_units(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        "# temperature_k: 77\n# material: Al-soc-MOF-1\n# source: our manometer\n# kind: measured\n# amount: excess\n"
        "pressure_kpa,loading_cm3_stp_per_g\n10,22.41396954\n100,224.1396954\n"
    )
    read = read_measured(path)
    np.testing.assert_allclose(read.pressure_bar, [0.1, 1.0])
    np.testing.assert_allclose(read.loading_mol_per_kg, [1.0, 10.0])
    assert read.label == "Al-soc-MOF-1, 77 K (measured, excess; our manometer)"
    for unit, value in (("mmol/g", 2.0), ("mg/g", 4.032), ("g/g", 4.032e-3), ("cm³(STP)/g", 2 * 22.41396954)):
        assert to_mol_per_kg([value], unit, where="", weight_of="host")[0] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "", "ending in .json"),
        ("a.json", "{}", "NIST-ISODB"),
        ("a.aif", "no cif", "an AIF file"),
        ("a.aif", "data_a\n_exptl_temperature 77\n_exptl_adsorptive N2\n", "found N2"),
        ("a.csv", "p,n\n1,2\n", "columns pressure_bar"),
        ("a.csv", "pressure_bar,loading_mol_per_kg\n1,2\n", "temperature_k"),
        ("a.csv", "# temperature_k: 77\npressure_bar,loading_mol_per_kg\n1,x\n", "could not convert"),
        ("a.csv", "# temperature_k: 77\n# gas: CO2\npressure_bar,loading_mol_per_kg\n1,2\n", "found CO2"),
        ("a.csv", "# temperature_k: 77\npressure_bar,loading_mol_per_kg\n", "found none"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInputError, match=words):
        read_measured(tmp_path / name)


def test_figures_show_every_curve_with_its_origin(isotherm: Isotherm, tmp_path: Path) -> None:
    measured = [read_measured(need_reference("10.1021acs.jced.1c00951.Isotherm15.json"))]
    figure = comparison_figure(isotherm, measured)
    words = [text.get_text() for text in figure.figure.legends[0].get_texts()]
    assert len(words) == 5 and any("doi:10.1021/acs.jced.1c00951" in word for word in words)
    heats = heat_figure(isotherm)
    assert heats is not None and len(heats.tables[0].rows) == 6 + 1 + 1
    paths = save_figure(figure, tmp_path) + save_figure(heats, tmp_path)
    assert {path.suffix for path in paths} == {".svg", ".png", ".csv", ".json"}
    assert all(path.stat().st_size > 100 for path in paths)
    stored = read_figures(tmp_path, prefix="stored_", leave_out=("isosteric",))
    assert [(f.name, f.caption, f.svg) for f in stored] == [("stored_isotherm", figure.caption, paths[0].read_bytes())]
    rows = list(csv.DictReader((tmp_path / "isotherm.figure.csv").read_text().splitlines()))
    ours = [r for r in rows if r["curve"] == "computed here, al-soc-mof, 77 K, absolute"]
    assert [float(r["loading_wt%"]) for r in ours][1] == pytest.approx(0.928607, abs=1e-6)
    theirs = [r for r in rows if "1c00951" in r["source"]]
    # 1.91 wt% of the framework are 1.91/101.91 of both
    assert float(theirs[0]["loading_wt%"]) == pytest.approx(100 * 1.91 / 101.91, rel=1e-6)


def test_nothing_known_of_the_heat_is_no_figure(isotherm: Isotherm) -> None:
    points = tuple(replace(p, heat_kj_per_mol=math.nan) for p in isotherm.points)
    assert heat_figure(replace(isotherm, points=points, henry=(), clausius_clapeyron=())) is None
