"""Which models move host and molecules in molecular dynamics of a campaign."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from alh2.campaign.context import Campaign
from alh2.campaign.host_models import can_move, host_models
from alh2.campaign.predicting import insertion_rmse_ev
from alh2.core.errors import BadInputError
from alh2.core.files import link_file
from alh2.core.frames import Target
from alh2.core.units import KB_EV_PER_K
from alh2.production.md_plan import MdPlan, MdRunsSetting


@dataclass(frozen=True)
class Movers:
    """What moves atoms, and why.

    target : of the models that move the molecules
    by_ase : they are of interaction energies, and others move the host unless it stands still; else LAMMPS moves
        everything by one committee
    words : for people, "" where there was nothing to decide
    """

    target: Target
    by_ase: bool = False
    words: str = ""


def movers_of(campaign: Campaign, iteration: int, plan: MdPlan, *, n_h2: int, wanted: Target | None = None) -> Movers:
    """The models that move atoms at the lowest temperature: those `wanted`, else those with better insertion energies.

    On a frozen host these are always models of interaction energies. With a host that moves they are where models of
    total energies are off by more than kT in held-out insertion energies and they by less. Raises BadInputError for
    wanted models that are not there.
    """
    by_lammps = Movers(campaign.force_committee.target)
    why_not = _why_not(campaign, iteration, plan, n_h2)
    if wanted == "interaction" and why_not:
        raise BadInputError("--forces", expected="total", found=f"interaction, with {why_not}")
    if wanted == "total" and by_lammps.target != "total":
        raise BadInputError("--forces", expected="interaction", found="total, without models of total energies")
    if wanted == "total" or why_not:
        return by_lammps
    if wanted == "interaction" or plan.frozen_host or by_lammps.target == "interaction":
        return Movers("interaction", by_ase=True)
    total, alone = (insertion_rmse_ev(campaign, iteration, target) for target in ("total", "interaction"))
    if not (total > KB_EV_PER_K * min(plan.temperatures_k) and alone < total):
        return by_lammps
    words = (
        f"held-out insertion energies are off by {1e3 * alone:.3g} meV (RMSE) with the models of interaction energies, "
        f"by {1e3 * total:.3g} meV with those of total energies: the former move the molecules "
        "(--forces total: LAMMPS, everything by the latter)"
    )
    return Movers("interaction", by_ase=True, words=words)


def _why_not(campaign: Campaign, iteration: int, plan: MdPlan, n_h2: int) -> str:
    """Why models of interaction energies cannot move molecules, "" where they can."""
    committee = campaign.param.committee("interaction")
    if plan.n_beads > 1:
        return "path integrals"
    if not n_h2:
        return "no molecules"
    if committee is None:
        return "no models of interaction energies"
    if not all(member.pair_baseline.exists() for member in campaign.members(committee, iteration)):
        return "models of interaction energies that have no pair terms"
    if not plan.frozen_host and not can_move(campaign, iteration):
        return "too few labels of the bare host"
    return ""


def with_movers(
    campaign: Campaign, iteration: int, plan: MdPlan, setting: MdRunsSetting, *, interaction: tuple[Path, ...],
    under: tuple[Path, ...],
) -> MdRunsSetting:  # fmt: skip
    """`setting` where models of interaction energies (`interaction`, `under` as linked) move the molecules.

    Where the host moves, finds or trains models for it first, and links them too.
    """
    setting = replace(setting, interaction=interaction, under=under)
    if plan.frozen_host:
        return setting
    campaign.reporter.stage("models of the bare host")
    made = host_models(campaign, iteration)
    campaign.reporter.message(made.words)
    hosts = tuple(setting.directory / f"host.{k:03d}.pb" for k in range(len(made.graphs)))
    springs = tuple(setting.directory / f"host_springs.{k:03d}.npz" for k in range(len(made.springs)))
    for link, file in zip((*hosts, *springs), (*made.graphs, *made.springs), strict=True):
        link_file(file, link)
    return replace(setting, hosts=hosts, springs=springs)
