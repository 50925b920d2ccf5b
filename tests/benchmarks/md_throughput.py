"""What `alh2 produce md` makes of LAMMPS: ``python tests/benchmarks/md_throughput.py --model M --structure S``

Bare LAMMPS, by hand: the same first segment with every way to use the cores, one run after the other or as many side
by side as the machine file allows; the best total of steps per second counts. It has the environment of our tasks, in
which TensorFlow loads no Keras: with it each start takes longer, which is not what is compared. Beside it, in the same
rounds, the production code: dispatch, trajectory and committee deviation as it does them, with the launch its probe
found. Times are wall times from start to end; the last line is JSON, `ratio` (median over rounds) production over the
best by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from alh2.config.load import load_machine
from alh2.core.atoms import from_atoms
from alh2.core.files import link_file
from alh2.core.frames import Provenance
from alh2.core.quiet import QUIET_ENVIRONMENT
from alh2.core.random_streams import stream
from alh2.explore.lammps import INPUT_FILE
from alh2.production.md_plan import MdPlan, MdRunsSetting
from alh2.production.md_probe import FOLDER, Launch, candidates, read_probe
from alh2.production.md_runs import run_md_plan
from alh2.production.md_setting import sound_setting
from alh2.structure.hosts import read_host
from alh2.structure.loading import load_h2

MACHINE = Path(__file__).parents[2] / "machines" / "local.json"


def prepared(options: argparse.Namespace, folder: Path) -> MdRunsSetting:
    """The host loaded, the models linked into `folder`."""
    host = read_host(options.structure)
    loaded = load_h2(host, options.loading, rng=stream(1, "benchmark"), min_distance_ang=2.2, prefer_open_sites=True)
    start = from_atoms(loaded, n_host=len(host), host_id="host", provenance=Provenance("benchmark"))
    folder.mkdir(parents=True)
    graphs = tuple(folder / f"graph.{k:03d}{model.suffix}" for k, model in enumerate(options.model))
    for graph, model in zip(graphs, options.model, strict=True):
        link_file(model.resolve(), graph)
    return sound_setting(folder, graphs, start, load_machine(MACHINE))


def by_hand(segments: list[Path], launch: Launch, lammps: str, side_by_side: int, env: dict[str, str]) -> float:
    """Total steps per second of copies of `segments`, that many at a time."""
    waiting, running, n = list(segments), [], len(segments)
    started = time.perf_counter()
    while waiting or running:
        while waiting and len(running) < side_by_side:
            command = f"{launch.command(lammps)} -i {INPUT_FILE} -log log.bare -screen none"
            running.append(subprocess.Popen(command, shell=True, cwd=waiting.pop(), stderr=subprocess.DEVNULL, env=env))
        running = [process for process in running if process.poll() is None]
        time.sleep(0.02)
    return n / (time.perf_counter() - started)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, action="append", required=True, help="repeated: a committee")
    parser.add_argument("--structure", type=Path, required=True)
    parser.add_argument("--loading", type=int, default=24)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    machine = load_machine(MACHINE).model_devi
    plan = MdPlan((77.0,), options.replicas, options.steps, 0, options.steps, 0.0005, 20)
    cores = len(os.sched_getaffinity(0))
    env = {**QUIET_ENVIRONMENT, **os.environ, **machine.resources.get("envs", {})}
    ways = [(1, launch) for launch in candidates(cores, mpi=True)]
    ways += [(n, launch) for n in range(2, machine.parallel + 1) for launch in candidates(cores // n, mpi=True)]
    rounds = []
    with tempfile.TemporaryDirectory() as name:
        for number in range(options.rounds):
            setting = prepared(options, Path(name) / f"round.{number}" / "ours")
            run_md_plan(MdPlan((77.0,), options.replicas, 20, 0, 20, 0.0005, 20), setting, machine=machine)
            for replica in setting.directory.glob("77K.*"):
                shutil.rmtree(replica)
            started = time.perf_counter()
            run_md_plan(plan, setting, machine=machine)
            ours = options.replicas / (time.perf_counter() - started)
            probe = read_probe(setting.directory / FOLDER)
            copies = [shutil.copytree(p, p.parent.parent.parent / "bare" / p.parent.name / p.name)
                      for p in sorted(setting.directory.glob("77K.*/seg.000"))]  # fmt: skip
            for shared in setting.shared_files:
                link_file((setting.directory / shared).resolve(), copies[0].parent.parent / shared)
            hand = {f"{n} x ({w.ranks} ranks, {w.threads} threads)": by_hand(copies, w, machine.command, n, env)
                    for n, w in ways}  # fmt: skip
            best = max(hand, key=lambda way: hand[way])
            rounds.append({"ours": options.steps * ours, "best": options.steps * hand[best], "way": best,
                           "probe": asdict(probe.best), "ratio": ours / hand[best]})  # fmt: skip
            print(json.dumps(rounds[-1]), flush=True)
    ratio = statistics.median(r["ratio"] for r in rounds)
    print(json.dumps({"ratio": ratio, "atoms": setting.start.n_atoms, "models": len(options.model), "rounds": rounds}))


if __name__ == "__main__":
    main()
