"""``alh2 structure`` as a user runs it."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import typer
from ase.io import read

from alh2.cli.errors import run_app
from alh2.cli.structure import register
from alh2.structure.topology import split_host_guests


@pytest.fixture
def alh2(monkeypatch, capfd):
    """Runs ``alh2 ARGS``; returns (exit code, stdout, stderr)."""

    def run(*args: object) -> tuple[int, str, str]:
        app = typer.Typer(pretty_exceptions_enable=False)

        @app.callback()
        def root() -> None:
            """Root."""

        register(app)
        monkeypatch.setattr(sys, "argv", ["alh2", "structure", *map(str, args)])
        code = run_app(app)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


def test_crystal_with_published_loading(alh2, tmp_path):
    path = tmp_path / "c.cif"
    code, out, err = alh2("crystal", path, "--h2", 24, "--seed", 3, "--prefer-open-sites")
    assert code == 0 and err == ""
    for text in ("C192H80Al24N24O112 + 24 H2", "atoms: 480 (432 host)", "open Al sites: 16", "0.93 wt%", "P-43n (218)"):
        assert text in out
    split, n_host = split_host_guests(read(path))
    assert (n_host, len(split)) == (432, 480)


def test_same_seed_same_bytes(alh2, tmp_path):
    files = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        path = tmp_path / f"{name}.data"
        assert alh2("crystal", path, "--h2", 10, "--seed", seed, "--oh-ordering", "random")[0] == 0
        files.append(path.read_bytes())
    assert files[0] == files[1] != files[2]


def test_node_in_a_named_format(alh2, tmp_path):
    code, out, _ = alh2("node", tmp_path / "start", "--format", "extxyz", "--h2", 2, "--box", 18)
    assert code == 0 and "C6H7Al3O14 + 2 H2" in out and "open Al sites: 2" in out
    assert len(read(tmp_path / "start", format="extxyz")) == 34


def test_bare_framework(alh2, tmp_path):
    code, out, _ = alh2("crystal", tmp_path / "POSCAR", "--no-hydroxide", "--lattice", 21.4934)
    assert code == 0 and "C192H72Al24N24O104" in out and "open Al sites: 24" in out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["crystal", "x.cif", "--lattice", "3"], "lattice parameter: expected 18 to 26 Å, found 3.0"),
        (["crystal", "x.cif", "--oh-ordering", "P1"], "OH ordering: expected one of P-42c"),
        (["crystal", "x.pdb"], "a name ending in .cif"),
        (["crystal", "x.cif", "--format", "pdb"], "format: expected one of cif"),
        (["node", "x.cif", "--box", "4"], "box around the node: expected at least"),
        (["node", "x.cif", "--h2", "5000"], "H2 loading: expected room for 5000 H2"),
        (["node", "x.vasp", "--type-map", "Al,O"], "type_map: expected every element"),
        (["node", "x.cif", "--h2", "-1"], "Invalid value for '--h2'"),
        (["node", "x.cif", "--min-distance", "-2", "--h2", "1"], "minimum distance: expected a positive length"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(alh2, tmp_path, args, message):
    code, out, err = alh2(args[0], tmp_path / args[1], *args[2:])
    assert code == 2 and message in err and "Traceback" not in err and out == ""
    assert not list(tmp_path.iterdir())


def test_output_that_is_a_folder(alh2, tmp_path):
    (tmp_path / "d.cif").mkdir()
    code, _, err = alh2("node", tmp_path / "d.cif")
    assert code == 2 and "expected a place to write a file" in err
    assert [p.name for p in tmp_path.iterdir()] == ["d.cif"]


def test_example_script(tmp_path, capsys, monkeypatch):
    script = Path(__file__).resolve().parents[2] / "examples" / "build_structures.py"
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path)])
    runpy.run_path(str(script), run_name="__main__")
    assert "24 H2 = 0.93 wt%" in capsys.readouterr().out
    assert len(list(tmp_path.iterdir())) == 4
