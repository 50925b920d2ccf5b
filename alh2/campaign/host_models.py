"""Models of the bare host, which move it in molecular dynamics beside models of interaction energies.

E(host + H2) is E(host) + what an interaction committee learns. The first term is either what the committee of total
energies says of the host alone, or learned from the labels of bare hosts that interaction energies are formed with:
springs, and networks on what these leave. Forces on held-out geometries decide; no label is computed for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from alh2.campaign.context import Campaign
from alh2.campaign.evaluating import EVALUATION_FILE, evaluation_task
from alh2.campaign.training import usable_frames
from alh2.core.errors import BadInputError, NeedsPersonError
from alh2.core.files import atomic_write_json, digest_bytes, link_file, read_json
from alh2.core.frames import Frame, Label, LabelledFrame
from alh2.core.random_streams import seed_for
from alh2.dataset.export import export_systems
from alh2.dispatch.run import run_tasks
from alh2.potential.evaluate import load_evaluation
from alh2.potential.host_springs import HostSprings, fit_host_springs, host_rest, load_host_springs
from alh2.train.committee import MemberData, TrainingPlan, train_committees
from alh2.train.members import Member, members
from alh2.train.pair_fit import drawn_frames, network_scale

FOLDER, SPRINGS, SPRINGS_FILE, RESULT_FILE = "host-models", "springs", "host_springs.npz", "host-models.json"
FEWEST_GEOMETRIES = 10
"""Fewer say too little about how a host vibrates."""


@dataclass(frozen=True)
class HostModels:
    """A committee on the energy of the bare host.

    graphs : networks, one for each model of the interaction committee
    springs : what lies under each; () where the networks are those of total energies
    n_geometries, n_heldout : of the host, that it was trained on and judged on
    force_rmse_ev_ang, force_rms_ev_ang : of the error of the committee mean on those held out, and of the forces
        themselves; NaN where none are held out
    """

    graphs: tuple[Path, ...]
    springs: tuple[Path, ...]
    n_geometries: int
    n_heldout: int
    force_rmse_ev_ang: float
    force_rms_ev_ang: float

    @property
    def words(self) -> str:
        """For people."""
        known = "the host moves by models of total energies"
        if self.springs:
            known = f"the host moves by models of its own, from {self.n_geometries} geometries"
        if not self.n_heldout:
            return f"{known}; no geometry is held out"
        return (
            f"{known}; on {self.n_heldout} held-out geometries, forces of {self.force_rms_ev_ang:.2g} eV/Å (RMS) are "
            f"off by {self.force_rmse_ev_ang:.2g} (RMSE)"
        )


def host_model_files(campaign: Campaign, iteration: int) -> list[tuple[Path, Path]]:
    """Network and springs of each model of the bare host that moves it at `iteration`, [] where other models do."""
    told = _folder(campaign, iteration) / RESULT_FILE
    if not told.exists() or not read_json(told)["own"]:
        return []
    found = members(_folder(campaign, iteration), "total", campaign.engine_committee.n_models)
    files = [(member.graph, member.work_dir / SPRINGS_FILE) for member in found]
    return files if all(graph.exists() and springs.exists() for graph, springs in files) else []


def _folder(campaign: Campaign, iteration: int) -> Path:
    return campaign.paths.production / FOLDER / f"iter.{iteration:06d}"


def _root_seed(campaign: Campaign) -> int:
    """Of these models: their numbers are those of the committee of total energies."""
    return seed_for(campaign.param.seed, FOLDER)


def host_geometries(frames: list[LabelledFrame]) -> list[LabelledFrame]:
    """Each labelled geometry of the host of `frames` once, as a frame of its own."""
    found: dict[str, tuple[Frame, Label]] = {}
    for each in frames:
        if each.frame.n_host and each.host_label is not None:
            host = each.frame.bare_host()
            found.setdefault(host.digest, (host, each.host_label))
    return [LabelledFrame(host, label, label) for host, label in found.values()]


def can_move(campaign: Campaign, iteration: int) -> bool:
    """Whether there is anything to move the host of `iteration` by."""
    if campaign.param.committee("total") is not None:
        return True
    return len(host_geometries(usable_frames(campaign, iteration))) >= FEWEST_GEOMETRIES


def host_models(campaign: Campaign, iteration: int) -> HostModels:
    """What moves the bare host: the committee of total energies, or models in ``production/host-models``; repeatable.

    The latter where springs alone, fitted to the labels that `iteration` was trained on, have better forces on held-out
    geometries than the former, and where there is no such committee. Raises BadInputError for fewer than
    `FEWEST_GEOMETRIES` there, and hosts that differ; NeedsPersonError where training or evaluation fails.
    """
    known = host_geometries(usable_frames(campaign, iteration))
    seen = {each.frame.digest for each in known}
    heldout = [f for f in host_geometries(campaign.store.load("valid")) if f.frame.digest not in seen]
    made = _of_total_energies(campaign, iteration, known, heldout)
    enough = bool(heldout) and len(known) >= FEWEST_GEOMETRIES
    folder = _folder(campaign, iteration) / SPRINGS
    if made is None or (enough and _springs_rmse(known, heldout, folder) < made.force_rmse_ev_ang):
        made = _trained(campaign, iteration, known, heldout)
    told = {
        "own": bool(made.springs),
        "n_geometries": made.n_geometries,
        "n_heldout": made.n_heldout,
        "force_rmse_ev_ang": made.force_rmse_ev_ang if heldout else None,
        "force_rms_ev_ang": made.force_rms_ev_ang if heldout else None,
    }
    atomic_write_json(_folder(campaign, iteration) / RESULT_FILE, told)
    return made


def _of_total_energies(
    campaign: Campaign, iteration: int, known: list[LabelledFrame], heldout: list[LabelledFrame]
) -> HostModels | None:
    """The committee of total energies, None where there is none."""
    committee = campaign.param.committee("total")
    if committee is None:
        return None
    directory = _folder(campaign, iteration)
    directory.mkdir(parents=True, exist_ok=True)
    trained = campaign.members(committee, iteration)
    graphs = []
    for k in range(campaign.engine_committee.n_models):
        graphs.append(directory / f"total.{k:03d}.pb")
        link_file(trained[k % len(trained)].graph, graphs[-1])
    made = HostModels(tuple(graphs), (), len(known), len(heldout), math.nan, math.nan)
    return _judged(campaign, directory / "evaluate.total", made, heldout, []) if heldout else made


def _springs_of(frames: list[LabelledFrame], folder: Path) -> HostSprings:
    """Springs fitted to `frames`, kept in `folder`: on a crystal the fit takes half a minute.

    Raises BadInputError for hosts that differ.
    """
    labels = (each.label.forces_ev_ang.tobytes() + f"{each.label.energy_ev!r}".encode() for each in frames)
    path = folder / f"{digest_bytes(*(each.frame.digest.encode() for each in frames), *labels)}.npz"
    if not path.exists():
        fitted = fit_host_springs(frames)
        folder.mkdir(parents=True, exist_ok=True)
        fitted.save(path)
    return load_host_springs(path)


def _springs_rmse(known: list[LabelledFrame], heldout: list[LabelledFrame], folder: Path) -> float:
    """RMSE (eV/Å) of springs alone on `heldout`; infinite where the hosts differ, which springs cannot describe."""
    try:
        springs = _springs_of(known, folder)
    except BadInputError:
        return math.inf
    off = [springs.evaluate(f.frame.positions_ang, f.frame.cell_ang)[1] - f.label.forces_ev_ang for f in heldout]
    return float(np.sqrt(np.mean(np.concatenate(off) ** 2)))


def _trained(
    campaign: Campaign, iteration: int, known: list[LabelledFrame], heldout: list[LabelledFrame]
) -> HostModels:
    """Models of its own: springs, and networks on what these leave, trained as the committee of total energies is.

    Springs are fitted to all geometries under the first model, to as many drawn with replacement under the others.
    """
    if len(known) < FEWEST_GEOMETRIES:
        raise BadInputError(
            str(campaign.paths.root), expected=f"labels of at least {FEWEST_GEOMETRIES} geometries of the bare host",
            found=f"{len(known)}", action="use --frozen-host or --forces total, or label more (label_bare_hosts)",
        )  # fmt: skip
    directory = _folder(campaign, iteration)
    committee = replace(
        campaign.force_committee, target="total", n_models=campaign.engine_committee.n_models, reuse_iter=None,
        pair_baseline=False,
    )  # fmt: skip
    prepared = [
        _member_data(campaign, iteration, known, member) for member in members(directory, "total", committee.n_models)
    ]
    plan = TrainingPlan(
        train_dir=directory,
        iteration=iteration,
        committees=(committee,),
        data=(tuple(data for data, _ in prepared),),
        previous_train_dir=None,
        type_map=campaign.param.type_map,
        root_seed=_root_seed(campaign),
    )
    trained = train_committees(plan, campaign.machine.train, on_progress=campaign.on_progress)
    made = HostModels(
        tuple(member.graph for member in trained), tuple(member.work_dir / SPRINGS_FILE for member in trained),
        len(known), len(heldout), math.nan, math.nan,
    )  # fmt: skip
    springs = [springs for _, springs in prepared]
    return _judged(campaign, directory / "evaluate", made, heldout, springs) if heldout else made


def _member_data(
    campaign: Campaign, iteration: int, known: list[LabelledFrame], member: Member
) -> tuple[MemberData, HostSprings]:
    """What `member` learns, exported, and the springs under it, kept in its folder."""
    drawn = drawn_frames(len(known), member, iteration=iteration, root_seed=_root_seed(campaign))
    fitted = _springs_of([known[k] for k in drawn], member.train_dir / SPRINGS)
    left = np.concatenate([host_rest(fitted, each).label.forces_ev_ang.ravel() for each in known])
    springs = replace(fitted, scale=network_scale(left))
    member.work_dir.mkdir(parents=True, exist_ok=True)
    springs.save(member.work_dir / SPRINGS_FILE)
    rest = [host_rest(springs, each) for each in known]
    folder = member.train_dir / f"data.{member.index:03d}"
    systems = export_systems(rest, folder, target="total", type_map=campaign.param.type_map)
    return MemberData(tuple(systems)), springs


def _judged(
    campaign: Campaign, work_dir: Path, made: HostModels, heldout: list[LabelledFrame], springs: list[HostSprings]
) -> HostModels:
    """`made` with its errors on the geometries held out; springs : under each of its models, none under none."""
    frames = [each.frame for each in heldout]
    task = evaluation_task(
        campaign, work_dir, frames, graphs=made.graphs, pairs=(), label="evaluate models of the host"
    )
    (outcome,) = run_tasks(
        [task], machine=campaign.machine.gcmc, base_dir=work_dir.parent, name=work_dir.name,
        on_progress=campaign.on_progress,
    )  # fmt: skip
    if outcome.status != "done":
        raise NeedsPersonError(f"{task.work_dir}: the models of the host could not be evaluated: {outcome.message}")
    answer = load_evaluation(task.work_dir / EVALUATION_FILE)
    errors = []
    for k, each in enumerate(heldout):
        forces = answer.frame_forces_ev_ang(k)
        if springs:
            under = [s.evaluate(each.frame.positions_ang, each.frame.cell_ang)[1] for s in springs]
            forces = np.array(under) + forces / np.array([s.scale for s in springs])[:, None, None]
        errors.append(forces.mean(axis=0) - each.label.forces_ev_ang)
    rmse = float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))
    rms = float(np.sqrt(np.mean(np.concatenate([each.label.forces_ev_ang for each in heldout]) ** 2)))
    return replace(made, force_rmse_ev_ang=rmse, force_rms_ev_ang=rms)
