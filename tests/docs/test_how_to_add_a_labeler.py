"""Follow docs/how-to-add-a-labeler.md to the letter: the code on the page becomes a labeler that runs."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from alh2.config import load, schema
from alh2.config.model import LabelConfig
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame, Label
from alh2.label import registry, worker
from alh2.label.protocol import LabelFailure, LabelJob

ROOT = Path(__file__).resolve().parents[2]
MODULE, REGISTRY_LINE, SCHEMA_LINE = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs" / "how-to-add-a-labeler.md").read_text(), re.MULTILINE | re.DOTALL
)


@pytest.fixture
def soft_spheres(tmp_path, monkeypatch):
    """The labeler of the page, installed for one test."""
    source = tmp_path / "soft_spheres.py"
    source.write_text(MODULE)
    spec = importlib.util.spec_from_file_location("alh2.label.soft_spheres", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "alh2.label.soft_spheres", module)
    for style, path in ast.literal_eval("{" + REGISTRY_LINE + "}").items():
        monkeypatch.setitem(registry.STYLES, style, path)
    (entry,) = eval(f"[{SCHEMA_LINE}]", vars(schema))
    monkeypatch.setattr(schema, "LABELERS", (*schema.LABELERS, entry))
    load._param_schema.cache_clear()
    yield module
    load._param_schema.cache_clear()


def frame(distance_ang: float) -> Frame:
    positions = np.array([[0.1, 0.0, 0.0], [0.1, 0.0, 9.9], [0.1, 0.0, 9.9 - distance_ang]])
    return Frame(("Al", "H", "H"), positions, 10.0 * np.eye(3), 1, "al")


def label_of(one: Frame, folder: Path, params: dict[str, float]) -> Label | LabelFailure:
    labeler = registry.make_labeler(LabelConfig("soft_spheres", params, 60.0), type_map=("Al", "H"))
    folder.mkdir()
    labeler.prepare([LabelJob(one, folder)])
    assert worker.run_task(folder) == 0
    return labeler.collect(one, folder)


def test_it_labels_with_consistent_forces(soft_spheres, tmp_path):
    label = label_of(frame(0.8), tmp_path / "task", {"radius_ang": 2.0})
    assert label.labeler == "soft spheres 2 Å"
    # Al–H through the cell border at 0.1 and 0.9 Å, H–H 0.8 Å
    assert label.energy_ev == pytest.approx(0.95**2 + 0.55**2 + 0.6**2, abs=1e-12)
    step = 1e-6
    for atom in range(3):
        energies = []
        for sign in (1, -1):
            moved = frame(0.8)
            moved.positions_ang[atom, 2] += sign * step
            energies.append(soft_spheres.compute(moved, {"radius_ang": 2.0}).energy_ev)
        slope = (energies[0] - energies[1]) / (2 * step)
        assert label.forces_ev_ang[atom, 2] == pytest.approx(-slope, abs=1e-8)


def test_a_geometry_without_a_label_says_why(soft_spheres, tmp_path):
    answer = label_of(frame(0.0), tmp_path / "task", {})
    assert isinstance(answer, LabelFailure) and "atom 2 lies on another one" in answer.reason


def test_param_file_knows_it_and_refuses_mistakes(soft_spheres, tmp_path):
    param = json.loads((ROOT / "param" / "quickstart.json").read_text())
    param |= {"fp_style": "soft_spheres", "fp_params": {"radius_ang": 2.5}}
    param["alh2"]["dataset"]["aimd"] = []
    path = tmp_path / "param.json"
    path.write_text(json.dumps(param))
    label = load.load_param(path).label
    assert (label.style, label.params, label.timeout_s) == ("soft_spheres", {"radius_ang": 2.5}, 120.0)
    param["fp_params"] = {"radius": 2.5}
    path.write_text(json.dumps(param))
    with pytest.raises(BadInputError, match="radius_ang"):
        load.load_param(path)


def test_its_parameters_stand_on_the_reference_page(soft_spheres, monkeypatch):
    from alh2.config import reference

    monkeypatch.setattr(reference, "LABELERS", schema.LABELERS)
    assert "| `fp_params.radius_ang` | a number | Å | `3.0` | Radius. |" in reference.reference_page()
