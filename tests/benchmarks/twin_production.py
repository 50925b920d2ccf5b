"""Production on a campaign of the twin experiment, against what the reference potential itself gives.

    python tests/benchmarks/twin_production.py TWIN [--frozen-host] [--loading N] [--replicas N] [--steps N] [--moves N]

TWIN is the folder of a seed that `twin.py` has finished (``…/small/seed.1``). `alh2 produce md` and `alh2 produce
isotherm` run on its campaign with the converged committees. The truth: molecular dynamics of the reference potential
(ASE) with the same thermostat, a Nosé–Hoover chain, analysed by the same code, and the exact isotherm in
``truth.json``. Without a thermostat, runs of so few molecules differ in temperature by some 20 %. Everything is kept in
``TWIN/production``: the same command goes on where it was stopped.

The last line is JSON. `passed`: D_s within the joint 95 % interval of both, and at least 90 % of the isotherm's points
within theirs.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from ase import Atoms, units
from ase.io import read
from twin_case import CRYSTAL, SMALL, TEMPERATURE_K, Case
from twin_truth import exact_pairs

from alh2.campaign.open import reopen_campaign
from alh2.campaign.predicting import on_last_host
from alh2.core.atoms import from_atoms, to_atoms
from alh2.core.frames import Frame, Provenance
from alh2.label.reference_calculator import ReferenceCalculator
from alh2.label.reference_network import build_network
from alh2.potential.pair_forces import PairForces
from alh2.production.md_analysis import RESULT_FILE, analyse
from alh2.production.md_by_ase import MovedBy, chain, equilibrate, moving_atoms
from alh2.production.md_plan import MdPlan
from alh2.production.md_runs import MdTrajectory
from alh2.production.md_setting import sound_setting

DT_FS, EVERY, THERMOSTAT_PS = 0.5, 40, 0.1
EQUILIBRATION_STEPS = 10_000
WANTED_COVERAGE, NORMAL_95 = 0.9, 1.96


def exact_run(
    case: Case, folder: Path, start: Frame, file: Path, *, steps: int, seed: int, frozen: bool, temperature_k: float
) -> np.ndarray:
    """Positions (n_frames, n_atoms, 3) Å of one run, from `file` where it is there."""
    if file.exists():
        return cast(np.ndarray, np.load(file))
    masses = to_atoms(start).get_masses()
    atoms = moving_atoms(start, masses, frozen_host=frozen)
    if frozen:
        pairs = PairForces(exact_pairs(case.parameters), to_atoms(start.bare_host()))
        atoms.calc = MovedBy(partial(on_molecules, pairs))
    else:
        host = cast(Atoms, read(folder / "host.extxyz"))
        network = build_network(from_atoms(host, n_host=len(host), host_id="x", provenance=Provenance("twin")))
        atoms.calc = ReferenceCalculator(network, case.parameters)
    rng = np.random.RandomState(seed)
    equilibrate(atoms, DT_FS * units.fs, temperature_k, EQUILIBRATION_STEPS, rng, whole=not frozen)
    dynamics = chain(atoms, DT_FS * units.fs, temperature_k, THERMOSTAT_PS, whole=not frozen)
    frames: list[np.ndarray] = []
    dynamics.attach(lambda: frames.append(atoms.positions.copy()), interval=EVERY)
    dynamics.run(steps)
    positions = np.array(frames)[1:]
    if frozen:
        host_ang = np.broadcast_to(start.positions_ang[: start.n_host], (len(positions), start.n_host, 3))
        positions = np.concatenate([host_ang, positions], axis=1)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".partial.npy")
    np.save(unfinished, positions)
    unfinished.rename(file)
    print(f"{file.stem}: {steps} steps of the reference potential", flush=True)
    return positions


def on_molecules(pairs: PairForces, positions_ang: np.ndarray) -> tuple[float, np.ndarray]:
    """Energy (eV) and forces (n, 3) eV/Å of molecules at (n, 3) Å."""
    energy, forces = pairs.evaluate(positions_ang.reshape(-1, 2, 3))
    return energy, forces.reshape(-1, 3)


def exact_diffusion(case: Case, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What the analysis of production says of the runs of the reference potential, two of them at a time."""
    kelvin = options.temperature
    work = folder / "production" / f"md-exact.{options.loading}.{kelvin:g}K{'.frozen' if options.frozen_host else ''}"
    plan = MdPlan(
        (kelvin,), options.exact_replicas, options.steps, EQUILIBRATION_STEPS, options.steps, 1e-3 * DT_FS,
        EVERY, thermostat_ps=THERMOSTAT_PS, frozen_host=options.frozen_host,
    )  # fmt: skip
    campaign = reopen_campaign(folder / "campaign")
    starts = [on_last_host(campaign, options.loading, replica=k) for k in range(options.exact_replicas)]
    runs = []
    with ProcessPoolExecutor(2) as pool:
        pending = [
            pool.submit(
                exact_run, case, folder, starts[replica], work / f"r{replica}.{options.steps}.npy", steps=options.steps,
                seed=replica, frozen=options.frozen_host, temperature_k=kelvin,
            )
            for replica in range(options.exact_replicas)
        ]  # fmt: skip
    for replica, done in enumerate(pending):
        positions = done.result()
        start = starts[replica]
        frames = [Frame(start.symbols, x, start.cell_ang, start.n_host, start.host_id) for x in positions]
        steps = [EVERY * (k + 1) for k in range(len(frames))]
        runs.append(MdTrajectory(kelvin, replica, steps=steps, frames=frames))
    analyse(plan, sound_setting(work, (), starts[0], campaign.machine), runs)
    return temperature(work)


def temperature(folder: Path) -> dict[str, Any]:
    """The one temperature of a finished analysis."""
    (found,) = json.loads((folder / RESULT_FILE).read_text())["temperatures"]
    return dict(found)


def produced(folder: Path, what: str, *arguments: str) -> None:
    """Run ``alh2 produce what CAMPAIGN …``."""
    command = [str(Path(sys.executable).parent / "alh2"), "produce", what, str(folder / "campaign"), *arguments]
    if subprocess.run(command).returncode:
        raise SystemExit(f"{' '.join(command)} failed")


def loop_diffusion(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """`alh2 produce md` of the same length."""
    produced(
        folder, "md", "--loading", f"{options.loading}", "--temperature", f"{options.temperature:g}",
        "--replicas", f"{options.replicas}", "--steps", f"{options.steps}", "--segment", f"{options.steps}",
        "--equilibration", f"{EQUILIBRATION_STEPS}", "--dt-fs", f"{DT_FS}", "--sample-every", f"{EVERY}",
        "--ensemble", "nvt", "--no-probe", *(["--frozen-host"] if options.frozen_host else []),
    )  # fmt: skip
    return temperature(folder / "campaign" / "production" / "md")


def compare_diffusion(exact: dict[str, Any], loop: dict[str, Any]) -> dict[str, Any]:
    """D_s of both, 1e-9 m²/s, and the other numbers side by side."""
    true, mine = exact["diffusion_m2_s"], loop["diffusion_m2_s"]
    answer: dict[str, Any] = {}
    for name in ("coordination", "coordination_error"):
        answer |= {name: loop[name], f"{name}_exact": exact[name]}
    answer |= {"residence_ps": loop["residence"], "residence_ps_exact": exact["residence"]}
    answer["largest_devi_f_ev_ang"] = max(run["max_devi_f_ev_ang"] or 0.0 for run in loop["replicas"])
    if true is not None:
        answer |= {"d_s_exact_1e9": 1e9 * true["mean"], "d_s_exact_error_1e9": 1e9 * true["standard_deviation"]}
    if true is None or mine is None:
        return {**answer, "d_s_covered": False}
    half = NORMAL_95 * mine["standard_deviation"]
    interval = loop["diffusion_interval_m2_s"]
    mean = mine["mean"]
    if interval is not None:
        mean = interval["mean"]
        half = NORMAL_95 * math.sqrt(sum(interval[k] ** 2 for k in ("statistical", "committee", "model")))
    error = NORMAL_95 * true["standard_deviation"]
    return {
        **answer,
        "d_s_1e9": 1e9 * mean,
        "d_s_half_width_1e9": 1e9 * half,
        "d_s_all_replicas_1e9": [1e9 * mine["mean"], 1e9 * mine["standard_deviation"]],
        "d_s_covered": abs(mean - true["mean"]) <= math.hypot(half, error),
    }


def compare_isotherm(folder: Path, case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Points of `alh2 produce isotherm` against those in ``truth.json``."""
    truth = json.loads((folder / "truth.json").read_text())
    exact: dict[float, list[dict[str, float]]] = {}
    for key, point in truth.items():
        exact.setdefault(float(key.split("/")[0]), []).append(point)
    pressures = [word for p in sorted(exact) for word in ("--pressure", f"{p:g}")]
    produced(
        folder, "isotherm", "--temperature", f"{TEMPERATURE_K:g}", *pressures, "--initial", "0",
        "--initial", f"{case.loaded}", "--moves", f"{options.moves}", "--max-loading", f"{case.max_loading}",
        "--committee", "run",
    )  # fmt: skip
    made = json.loads((folder / "campaign" / "production" / "isotherm" / "isotherm.json").read_text())
    rows = []
    for point in made["points"]:
        both = exact[point["pressure_bar"]]
        n = float(np.mean([p["n"] for p in both]))
        error = NORMAL_95 * math.sqrt(sum(p["n_error"] ** 2 for p in both)) / len(both)
        interval = point["committee"]["n_absolute"]
        half = NORMAL_95 * math.sqrt(sum(interval[k] ** 2 for k in ("statistical", "committee", "model")))
        rows.append(
            {
                "pressure_bar": point["pressure_bar"],
                "n": interval["mean"],
                "half_width_95": half,
                "n_exact": n,
                "covered": abs(interval["mean"] - n) <= math.hypot(half, error),
            }
        )
    return {"isotherm": rows, "isotherm_coverage": sum(r["covered"] for r in rows) / len(rows)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("twin", type=Path)
    parser.add_argument("--loading", type=int, default=6)
    parser.add_argument("--temperature", type=float, default=TEMPERATURE_K, help="K, of the dynamics")
    parser.add_argument("--replicas", type=int, default=8)
    parser.add_argument("--exact-replicas", type=int, default=8)
    parser.add_argument("--steps", type=int, default=80_000)
    parser.add_argument("--moves", type=int, default=20_000)
    parser.add_argument("--frozen-host", action="store_true", help="only the molecules move")
    parser.add_argument("--no-isotherm", action="store_true", help="diffusion alone")
    options = parser.parse_args()
    folder = options.twin.resolve()
    case = {"small": SMALL, "crystal": CRYSTAL}[folder.parent.name]
    exact = exact_diffusion(case, folder, options)
    found = {"loading": options.loading, "frozen_host": options.frozen_host, "temperature_k": options.temperature}
    found |= compare_diffusion(exact, loop_diffusion(folder, options))
    coverage = 1.0
    if not options.no_isotherm:
        found |= compare_isotherm(folder, case, options)
        coverage = found["isotherm_coverage"]
    passed = bool(found["d_s_covered"]) and coverage >= WANTED_COVERAGE
    print(json.dumps({"benchmark": "twin production", "host": case.name, "passed": passed, **found}))


if __name__ == "__main__":
    main()
