"""Label frames, their bare host and the gas with any ASE calculator: the energies that decide uptake of H2.

    python examples/label_with_any_ase_calculator.py [--calculator IMPORT.PATH] [--arguments JSON] [--frames N]

A labeler names a level of theory; the campaign runs its tasks through a scheduler, here they run as subprocesses, two
at a time. The default is ASE's effective-medium toy, which needs no other program and is no chemistry. With
``--calculator tblite.ase.TBLite --arguments '{"method": "GFN1-xTB", "verbosity": 0}'`` the same lines give electronic
structure.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from alh2.config.model import LabelConfig
from alh2.core.frames import Frame, Label, LabelledFrame
from alh2.label.local import LocalRun, label_frames
from alh2.label.registry import make_labeler

BOX_ANG = 12.0
H2_BOND_ANG = 0.74


def open_site_with_h2(distance_ang: float) -> Frame:
    """An Al atom, as the smallest thinkable host, with one H2 beside it at `distance_ang`."""
    centre = np.array([6.0, 6.0, 6.0])
    molecule = centre + [distance_ang, 0.0, 0.0]
    half = np.array([0.0, H2_BOND_ANG / 2, 0.0])
    return Frame(
        symbols=("Al", "H", "H"),
        positions_ang=np.array([centre, molecule - half, molecule + half]),
        cell_ang=np.eye(3) * BOX_ANG,
        n_host=1,
        host_id="al",
    )


def main() -> None:
    """Print the interaction energy along an approach of H2 to the host."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calculator", default="ase.calculators.emt.EMT")
    parser.add_argument("--arguments", type=json.loads, default={})
    parser.add_argument("--frames", type=int, default=6)
    options = parser.parse_args()

    config = LabelConfig(
        style="ase", params={"calculator": options.calculator, "arguments": options.arguments}, timeout_s=600.0
    )
    labeler = make_labeler(config, type_map=("Al", "H"))
    distances = np.linspace(2.5, 4.5, options.frames)
    frames = [open_site_with_h2(float(distance)) for distance in distances]
    host = frames[0].bare_host()  # all frames share one frozen host: one label serves all
    gas = Frame(("H", "H"), frames[0].positions_ang[1:], frames[0].cell_ang, n_host=0)
    with tempfile.TemporaryDirectory() as workdir:
        *labels, host_label, gas_label = label_frames(labeler, [*frames, host, gas], LocalRun(Path(workdir)))
    for name, answer in (("host", host_label), ("gas", gas_label), *zip(distances, labels, strict=True)):
        if not isinstance(answer, Label):
            raise SystemExit(f"{name}: no label: {answer.reason}")

    print(f"{labeler.name}\nAl–H2 (Å)   insertion energy (eV)")
    for distance, frame, label in zip(distances, frames, labels, strict=True):
        insertion_ev = LabelledFrame(frame, label, host_label).energy_ev("interaction") - gas_label.energy_ev
        print(f"{distance:8.2f}   {insertion_ev:10.4f}")


if __name__ == "__main__":
    main()
