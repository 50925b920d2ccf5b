"""Tables that a program may have been killed in the middle of."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from alh2.core.columns import read_columns
from alh2.core.errors import BadInputError

TEXT = "# step  rmse  lr\n# a remark\n 0 1.5e+01 nan\n\n 50 -inf 2.0e-03\n"


def test_rows_and_columns(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_text(TEXT)
    table = read_columns(path, what="a table")
    assert table.names == ("step", "rmse", "lr")
    assert table.column("step").tolist() == [0, 50]
    assert math.isnan(table.column("absent", "lr")[0]) and table.column("rmse")[1] == -math.inf
    with pytest.raises(BadInputError, match="column absent or gone, found step, rmse, lr"):
        table.column("absent", "gone")


def test_every_cut_leaves_only_whole_rows(tmp_path: Path) -> None:
    path = tmp_path / "t"
    header_end = TEXT.index("\n") + 1
    rows = np.array([[0, 15, np.nan], [50, -np.inf, 0.002]])
    for cut in range(header_end, len(TEXT) + 1):
        path.write_text(TEXT[:cut])
        values = read_columns(path, what="a table").values
        assert np.array_equal(values, rows[: len(values)], equal_nan=True)
        assert len(values) == (2 if cut == len(TEXT) else 1 if "nan\n" in TEXT[:cut] else 0)


@pytest.mark.parametrize(("text", "found"), [("", "step"), ("1 2 3\n", "step"), ("# step a\n1 x\n", "'x'")])
def test_what_is_no_table_is_named(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "t"
    path.write_text(text)
    with pytest.raises(BadInputError, match=found):
        read_columns(path, what="a table")
    with pytest.raises(BadInputError, match="no such file"):
        read_columns(tmp_path / "absent", what="a table")
