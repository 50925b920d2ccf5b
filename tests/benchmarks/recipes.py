"""What makes insertion energies accurate, at equal labels and equal training time: one recipe against the other.

    python tests/benchmarks/recipes.py CAMPAIGN [--work FOLDER] [--seeds 1 2 3] [--steps N] [--only NAME ...]

CAMPAIGN is a finished campaign with interaction energies: its labels are what every recipe is trained on, from scratch,
one model for each seed, in the way `alh2 run` trains. Judged are the insertions that its last iteration held out, drawn
by Monte Carlo at the loadings it explored; the labels are those found before. Networks that take longer for a step get
fewer steps, as measured by a short training. Everything is kept in FOLDER (recipes): repeating goes on.

Prints a table, RMSE and mean error of insertion energies in meV and the RMSE of forces on H2, with standard errors over
seeds, and a JSON line last.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from alh2.assess.errors import frames_of, insertion_energies
from alh2.assess.heldout import load_heldout
from alh2.campaign.context import Campaign
from alh2.campaign.open import reopen_campaign
from alh2.campaign.paths import RunPaths
from alh2.campaign.progress import Reporter
from alh2.campaign.training import train, usable_frames
from alh2.config.model import CommitteeConfig, DeepmdInput
from alh2.core.files import atomic_write_json, read_json
from alh2.core.frames import LabelledFrame
from alh2.core.random_streams import stream
from alh2.dataset.store import DatasetStore
from alh2.potential.evaluate import evaluate_committee

PROBE_STEPS = 300
Change = Callable[[DeepmdInput], None]


@dataclass(frozen=True)
class Recipe:
    """A way to train. `change` is made to the interaction committee's training input; `frames` chooses labels."""

    words: str
    change: Change = lambda content: None
    target: str = "interaction"
    baseline: bool = True
    other_network: bool = False
    frames: str = "all"


def _loss(**values: float) -> Change:
    return lambda content: content["loss"].update(values)


def _network(**values: Any) -> Change:
    def change(content: DeepmdInput) -> None:
        descriptor, fitting = content["model"]["descriptor"], content["model"]["fitting_net"]
        descriptor["rcut"] += values.get("longer_ang", 0.0)
        descriptor["sel"] = [max(1, round(n * values.get("neighbours", 1.0))) for n in descriptor["sel"]]
        descriptor["neuron"] = [n * values.get("wider", 1) for n in descriptor["neuron"]]
        fitting["neuron"] = [n * values.get("wider", 1) for n in fitting["neuron"]]

    return change


def _smooth(start_ang: float) -> Change:
    """The weight of neighbours falls from `start_ang` on."""
    return lambda content: content["model"]["descriptor"].update(rcut_smth=start_ang)


def _guests(content: DeepmdInput) -> None:
    """Half of what forces weigh on all atoms alike, the other half on the guests alone."""
    loss = content["loss"]
    for name in ("start_pref", "limit_pref"):
        loss[f"{name}_f"] /= 2
        loss[f"{name}_pf"] = loss[f"{name}_f"]


RECIPES: dict[str, Recipe] = {
    "default": Recipe("interaction energies on a pair baseline, energy-heavy loss"),
    "no-baseline": Recipe("interaction energies, no pair baseline", baseline=False),
    "total": Recipe("total energies, same loss", target="total", baseline=False),
    "total-on-pairs": Recipe("total energies on pair terms between atoms, same loss", target="total"),
    "forces": Recipe(
        "loss heavy on forces", _loss(start_pref_e=0.1, limit_pref_e=5, start_pref_f=1000, limit_pref_f=5)
    ),
    "energies": Recipe(
        "loss heavier on energies", _loss(start_pref_e=30, limit_pref_e=3000, start_pref_f=100, limit_pref_f=1)
    ),
    "guests": Recipe("half the weight of forces on the guests alone", _guests),
    "wider": Recipe("networks twice as wide", _network(wider=2), other_network=True),
    "longer": Recipe("cutoff 1 Å longer", _network(longer_ang=1.0, neighbours=1.6), other_network=True),
    "shorter": Recipe("cutoff 1 Å shorter", _network(longer_ang=-1.0), other_network=True),
    "smooth": Recipe("neighbours fade from 2 Å on (rcut_smth)", _smooth(2.0)),
    "smoother": Recipe("neighbours fade from 3.5 Å on", _smooth(3.5)),
    "sharp": Recipe("neighbours fade from 0.5 Å on", _smooth(0.5)),
    "total-smooth": Recipe("total energies on pair terms, fading from 2 Å on", _smooth(2.0), target="total"),
    "mixed-half": Recipe("as many labels as the next two, of all kinds", frames="mixed"),
    "frozen": Recipe("labels on frozen hosts only", frames="frozen"),
    "moving": Recipe("labels with moving hosts only", frames="moving"),
    "no-pairs": Recipe("without pairs N, N+1 of one configuration (fewer labels)", frames="unpaired"),
}


class Subset:
    """A dataset of which some frames are not shown."""

    def __init__(self, frames: Sequence[LabelledFrame]) -> None:
        self._frames = list(frames)

    def load(self, split: str) -> list[LabelledFrame]:
        """All frames as training frames."""
        return self._frames if split == "train" else []


def is_frozen(frame: LabelledFrame) -> bool:
    """Whether the host of a frame stood still: Monte Carlo, and what was held out."""
    return frame.frame.provenance.source in ("gcmc", "heldout")


def chosen(frames: Sequence[LabelledFrame], which: str) -> list[LabelledFrame]:
    """Frames of a recipe; gas and bare hosts are always among them."""
    always = [f for f in frames if not f.frame.n_host or not f.frame.n_h2]
    guests = [f for f in frames if f.frame.n_host and f.frame.n_h2]
    kinds = {"frozen": [f for f in guests if is_frozen(f)], "moving": [f for f in guests if not is_frozen(f)]}
    if which == "all":
        return list(frames)
    if which == "unpaired":
        known: dict[str, list[int]] = {}
        for i, f in enumerate(guests):
            if f.frame.provenance.source == "heldout":
                known.setdefault(f"{f.frame.bare_host().digest} {f.frame.provenance.detail}", []).append(i)
        dropped = {i for group in known.values() for i in group[1:]}
        return always + [f for i, f in enumerate(guests) if i not in dropped]
    pool = guests if which == "mixed" else kinds[which]
    n = min(map(len, kinds.values()))
    return always + [pool[k] for k in sorted(stream(1, "recipes", which).permutation(len(pool))[:n])]


def committee_of(campaign: Campaign, recipe: Recipe, steps: int) -> CommitteeConfig:
    """One model trained from scratch."""
    base = campaign.param.committee("interaction")
    assert base is not None
    content = copy.deepcopy(base.training_param)
    recipe.change(content)
    content["training"].pop("stop_batch", None)
    content["training"]["numb_steps"] = steps
    content["learning_rate"]["decay_steps"] = max(10, steps // 60)
    return replace(
        base, target=cast(Any, recipe.target), n_models=1, training_param=content, reuse_iter=None, compress=False,
        pair_baseline=recipe.baseline,
    )  # fmt: skip


def trained(campaign: Campaign, iteration: int, recipe: Recipe, folder: Path, *, seed: int, steps: int) -> Campaign:
    """A campaign in `folder` whose `iteration` has the model of `recipe`."""
    frames = chosen(usable_frames(campaign, iteration), recipe.frames)
    own = replace(
        campaign,
        param=replace(campaign.param, committees=(committee_of(campaign, recipe, steps),), seed=seed),
        paths=RunPaths(folder),
        store=cast(DatasetStore, Subset(frames)),
        reporter=Reporter(io.StringIO()),
    )
    train(own, iteration)
    return own


def step_s(folder: Path) -> float:
    """Seconds of a training step, as DeePMD says."""
    logs = sorted(folder.glob("iter.*/00.train/*/task.err"))
    found = [t for log in logs for t in re.findall(r"average training time: ([\d.]+) s/batch", log.read_text())]
    if not found:
        raise SystemExit(f"{folder}: no word of the training time")
    return float(found[-1])


def judge(campaign: Campaign, own: Campaign, iteration: int) -> dict[str, float]:
    """RMSE and mean error (meV) of the held-out insertions, their number, and the RMSE of forces (eV/Å) on H2 and host
    in frames that nobody trains on."""
    insertions = load_heldout(campaign.paths.explore(iteration))
    frames = [*campaign.store.load("valid"), *campaign.store.load("train")]
    labels = {f.frame.digest: f.label for f in frames}
    (member,) = own.members(own.param.committees[0], iteration)
    pairs = [member.pair_baseline] if member.pair_baseline.exists() else []
    target = own.param.committees[0].target
    valid = [f for f in campaign.store.load("valid") if f.frame.n_host and f.frame.n_h2 and f.has_target(target)]
    asked = frames_of(insertions)
    answer = evaluate_committee([member.graph], [*asked, *(f.frame for f in valid)], pair_baselines=pairs)
    found = insertion_energies(insertions, labels, answer.part(0, len(asked)), target=target)
    off = [answer.frame_forces_ev_ang(len(asked) + k)[0] - f.forces_ev_ang(target) for k, f in enumerate(valid)]
    guests = [e[f.frame.n_host :].ravel() for e, f in zip(off, valid, strict=True)]
    hosts = [e[: f.frame.n_host].ravel() for e, f in zip(off, valid, strict=True)]
    return {
        "rmse_mev": 1e3 * found.rmse_ev,
        "mean_mev": 1e3 * found.mean_ev,
        "n_insertions": len(found.label_ev),
        "h2_force_rmse_ev_ang": rms(guests),
        "host_force_rmse_ev_ang": rms(hosts),
    }


def rms(parts: Sequence[np.ndarray]) -> float:
    """Root mean square of all values, NaN without any."""
    return float(np.sqrt(np.mean(np.concatenate(parts) ** 2))) if parts else float("nan")


def measured(campaign: Campaign, iteration: int, name: str, work: Path, *, seed: int, steps: int) -> dict[str, Any]:
    """Errors of a recipe and seed, from the file of an earlier run where it is there."""
    file = work / name / f"seed.{seed:03d}" / f"{steps}.json"
    if not file.exists():
        recipe, own_steps = RECIPES[name], steps
        if recipe.other_network:
            probes = [work / "probe" / each for each in ("default", name)]
            for probe, each in zip(probes, (RECIPES["default"], recipe), strict=True):
                trained(campaign, iteration, each, probe, seed=1, steps=PROBE_STEPS)
            own_steps = round(steps * step_s(probes[0]) / step_s(probes[1]))
        began = time.monotonic()
        own = trained(campaign, iteration, recipe, file.parent / f"{steps}", seed=seed, steps=own_steps)
        found = judge(campaign, own, iteration)
        n_labels = sum(f.frame.n_host > 0 and f.frame.n_h2 > 0 for f in own.store.load("train"))
        answer = {**found, "n_labels": n_labels, "steps": own_steps}
        atomic_write_json(file, {**answer, "wall_s": round(time.monotonic() - began)})
        print(
            f"{name} seed {seed}: RMSE {found['rmse_mev']:.1f}, mean {found['mean_mev']:+.1f} meV, forces on H2 "
            f"{found['h2_force_rmse_ev_ang']:.3f} eV/Å after {own_steps} steps",
            flush=True,
        )
    return dict(read_json(file))


COLUMNS = (("rmse_mev", 2), ("mean_mev", 2), ("h2_force_rmse_ev_ang", 4), ("host_force_rmse_ev_ang", 4))
"""Averages over seeds, and their digits."""


def row(name: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    """Averages over seeds with standard errors."""
    n = len(results)
    answer: dict[str, Any] = {"recipe": name, "seeds": n}
    for key, digits in COLUMNS:
        values = np.array([r[key] for r in results if key in r])
        if len(values) == n:
            error = float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else None
            answer[key] = [round(float(values.mean()), digits), None if error is None else round(error, digits)]
    answer["abs_mean_mev"] = round(float(np.mean([abs(r["mean_mev"]) for r in results])), 2)
    return {**answer, **{key: results[0][key] for key in ("n_labels", "steps", "n_insertions")}}


def _shown(value: list[float | None] | None, digits: int) -> str:
    """Mean ± standard error; nothing where older results have no such number."""
    return "" if value is None else " ± ".join(f"{x:.{digits - 1}f}" for x in value if x is not None)


def main() -> None:
    """Train what is not there yet and print table and line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("campaign", type=Path)
    parser.add_argument("--work", type=Path, default=Path("recipes"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--only", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    options = parser.parse_args()
    campaign, work = reopen_campaign(options.campaign), options.work.resolve()
    iteration = max(int(p.parents[1].name[5:]) for p in options.campaign.glob("iter.*/03.assess/assess.json"))
    rows = []
    for name in options.only:
        results = [measured(campaign, iteration, name, work, seed=seed, steps=options.steps) for seed in options.seeds]
        rows.append(row(name, results))
    print(
        "\n| recipe | labels with H2 | steps | RMSE, meV | mean error, meV | forces on H2, eV/Å | on the host |"
        "\n|---|---|---|---|---|---|---|"
    )
    for each in rows:
        words = RECIPES[each["recipe"]].words
        numbers = " | ".join(_shown(each.get(key), digits) for key, digits in COLUMNS)
        print(f"| {words} | {each['n_labels']} | {each['steps']} | {numbers} |")
    print(json.dumps({"benchmark": "recipes", "iteration": iteration, "fp": campaign.labeler.name, "rows": rows}))


if __name__ == "__main__":
    main()
