"""``alh2 ingest`` as a user meets it."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from alh2.cli.errors import run_app
from alh2.cli.ingest import register
from alh2.dataset.store import DatasetStore

VASP = Path(__file__).resolve().parents[2] / ".." / "shared" / "fixtures" / "vasp" / "dpdata"
OUTCAR = VASP / "OUTCAR.h2o.md.10"


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs ``alh2 ingest …``; returns exit code, stdout, stderr."""
    if not VASP.is_dir():
        pytest.skip(f"test data {VASP} are not on this machine")
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    register(app)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["alh2", "ingest", *map(str, arguments)])
        code = run_app(app)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_report_is_readable(run, tmp_path):
    code, out, err = run(OUTCAR, "--output", tmp_path / "d", "--host-id", "water", "--validation", "0.2")
    assert (code, err) == (0, "")
    for words in (
        "H4O2: host water (6 atoms) + 0 H2",
        "10 frames read; dropped: none; 8 train, 2 held out",
        "temperature 73.7 ± 45.9 K",
        "meV/atom/ps over 0.009 ps",
        str(tmp_path / "d"),
    ):
        assert words in out
    assert (tmp_path / "d" / "valid" / "water.H4O2.h2_000" / "type.raw").is_file()


def test_type_map_is_remembered_and_repeats_add_nothing(run, tmp_path):
    assert run(OUTCAR, "-o", tmp_path / "d", "--host-id", "water", "--type-map", "H,O")[0] == 0
    code, out, _ = run(OUTCAR, "-o", tmp_path / "d", "--host-id", "water")
    assert code == 0 and "10 of them are in the dataset already" in out
    assert DatasetStore.open(tmp_path / "d").type_map == ("H", "O")


def test_a_second_run_of_the_same_system_is_added(run, tmp_path):
    single = (OUTCAR, "-o", tmp_path / "d", "--host-id", "water", "--validation", 0)
    run(*single, "--max-frames", 4)
    code, out, _ = run(*single, "--drop-ps", 0.004)
    assert code == 0 and "already" not in out
    assert len(DatasetStore.open(tmp_path / "d").load()) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((VASP / "OUTCAR.ch4.1step",), "found 0 of 1 (0 dropped as equilibration, 1 not converged)"),
        ((OUTCAR, "--type-map", "H,Xx"), "--type-map: expected different chemical elements, found H,Xx"),
        ((OUTCAR, "--type-map", "Al,C"), "expected elements of the type map Al C, found H O"),
        ((OUTCAR, "--split", "odd"), "--split: expected blocks or random, found odd"),
        ((OUTCAR, "--drop-ps", "3"), "expected at least one usable frame"),
        (("absent.xyz",), "absent.xyz: expected a trajectory, found no such file"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_two(run, tmp_path, arguments, message):
    code, out, err = run(*arguments, "-o", tmp_path / "d", "--host-id", "water")
    assert code == 2 and out == "" and message in err
    assert err.count("\n") == 1 and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
