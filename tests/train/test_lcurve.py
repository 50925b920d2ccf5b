"""Learning curves as DeePMD writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alh2.core.errors import BadInputError
from alh2.train.lcurve import read_lcurve

HEAD = "# step       rmse_trn    rmse_e_trn    rmse_f_trn   lr      \n"
NOTE = "# If there is no available reference data, rmse_*_{val,trn} will print nan\n"
ROW = "      0      1.03e+01      3.49e-03      3.24e-01    5.0e-03\n"


def write(tmp_path: Path, forces: list[float | str]) -> Path:
    path = tmp_path / "lcurve.out"
    rows = [f"{50 * i:7d} 1.0e+00 2.0e-03 {force} 1.0e-03\n" for i, force in enumerate(forces)]
    path.write_text(HEAD + NOTE + "".join(rows))
    return path


def test_columns_of_a_real_file(tmp_path: Path) -> None:
    path = tmp_path / "lcurve.out"
    path.write_text(HEAD + NOTE + ROW + ROW.replace("      0", "     50", 1) + "    100      4.5e")
    curve = read_lcurve(path)
    assert curve.steps.tolist() == [0, 50] and curve.finite
    assert (curve.rmse_energy_ev_atom[0], curve.rmse_force_ev_ang[0], curve.learning_rate[0]) == (3.49e-3, 0.324, 5e-3)


def test_older_and_validation_headers(tmp_path: Path) -> None:
    path = tmp_path / "lcurve.out"
    path.write_text("# step rmse rmse_e rmse_f lr\n1 9 2 3 4\n")
    assert read_lcurve(path).rmse_force_ev_ang.tolist() == [3.0]
    path.write_text("# step rmse_val rmse_trn rmse_e_val rmse_e_trn rmse_f_val rmse_f_trn lr\n1 0 0 5 6 7 8 9\n")
    curve = read_lcurve(path)
    assert (curve.rmse_energy_ev_atom[0], curve.rmse_force_ev_ang[0]) == (6.0, 8.0)


@pytest.mark.parametrize("value", ["nan", "inf", "-nan"])
def test_not_finite(tmp_path: Path, value: str) -> None:
    assert not read_lcurve(write(tmp_path, [0.3, value, 0.2])).finite


def test_diverged_is_growth_and_not_noise(tmp_path: Path) -> None:
    grown = [0.3, 0.4, 0.3, 5.0, 40.0, 50.0, 60.0, 70.0]
    assert read_lcurve(write(tmp_path, grown)).diverged
    assert not read_lcurve(write(tmp_path, grown[:5])).diverged
    rng = np.random.default_rng(1)
    for _ in range(100):  # batches of gas frames among others: forces of 0.01 or 1
        noisy = np.where(rng.random(30) < 0.5, 0.01, 1.0) * rng.lognormal(0, 0.3, 30)
        assert not read_lcurve(write(tmp_path, noisy.tolist())).diverged


@pytest.mark.parametrize(("text", "found"), [(HEAD, "no rows"), ("1 2 3\n", "step"), ("# step rmse_e\n1 2\n", "step")])
def test_useless_files_are_named(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "lcurve.out"
    with pytest.raises(BadInputError, match="no such file"):
        read_lcurve(path)
    path.write_text(text)
    with pytest.raises(BadInputError, match=found) as caught:
        read_lcurve(path)
    assert str(path) in str(caught.value)
