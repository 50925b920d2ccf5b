"""The loop: the only place where the order of stages exists.

bootstrap → (train → explore → select → label → assess) repeated → production → report. Every stage is repeatable, and
the state names the one to run next, so repeating the command after any interruption continues.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace

from alh2.campaign.assessing import assess, judged_again
from alh2.campaign.bootstrap import bootstrap
from alh2.campaign.context import Campaign
from alh2.campaign.curriculum import at_iteration, check_extension, has_next, rung_of, rungs_in_words
from alh2.campaign.exploring import explore
from alh2.campaign.identity import check_identity
from alh2.campaign.record import record_stage
from alh2.campaign.relabelling import label
from alh2.campaign.selecting import select
from alh2.campaign.state import CampaignState, Stage, Status, load_state, save_state, stored_path
from alh2.campaign.tidy import tidy
from alh2.campaign.training import train
from alh2.config.plan import planned_work
from alh2.core.errors import Alh2Error, NeedsPersonError
from alh2.core.files import remove_leftovers
from alh2.dispatch.script import SCRIPT_NAME
from alh2.dispatch.tasks import forget_failures

ITERATION_STAGES: tuple[tuple[Stage, Callable[[Campaign, int], object]], ...] = (
    ("train", train),
    ("explore", explore),
    ("select", select),
    ("label", label),
    ("assess", assess),
)
STAGE_FUNCTIONS = dict(ITERATION_STAGES)
ORDER: tuple[Stage, ...] = tuple(name for name, _ in ITERATION_STAGES)
AFTER_THE_LOOP: tuple[Stage, ...] = ("production", "report", "done")
AfterStage = Callable[[CampaignState], None]


def run(campaign: Campaign, *, after_stage: AfterStage | None = None) -> CampaignState:
    """Run to the end, or to where a person must decide; returns the last state.

    after_stage : called when a stage is finished and the state saved (tests interrupt there)

    Raises NeedsPersonError (also when the last iteration allowed has not converged), BadInputError (also where the
    param file no longer fits the stored data) and KeyboardInterrupt; the state is saved before each.
    """
    remove_leftovers(campaign.paths.root, except_beside=SCRIPT_NAME)
    state = load_state(campaign.paths.state) or CampaignState()
    for warning in check_identity(campaign, started=state.stage != "bootstrap"):
        campaign.reporter.message(f"note: {warning}")
    known = len(state.rungs)
    check_extension(campaign.param, state)
    state = _resumed(campaign, state)
    if known and len(state.rungs) > known:
        said = f"the target was raised: {'; '.join(state.rungs[known:])} follow"
        campaign.reporter.message(said)
        campaign.journal.write(state, "extended", said)
    save_state(campaign.paths.state, state)
    campaign.journal.write(state, "run", f"host {socket.gethostname()}, pid {os.getpid()}")
    try:
        while state.stage != "done":
            before = state
            state = _run_stage(campaign, state)
            save_state(campaign.paths.state, state)
            if before.stage == "assess":
                kept = campaign.param.explore.clean_trajectories
                tidy(campaign.paths, before.iteration, clean_trajectories=kept)
            if after_stage is not None:
                after_stage(state)
    except KeyboardInterrupt:
        _stop(campaign, state, "interrupted", "stopped on request; the same command resumes")
        raise
    except Alh2Error as error:
        _ask(campaign, state, str(error))
        raise
    except OSError as error:
        _ask(campaign, state, str(error))
        raise NeedsPersonError(f"{error}; the same command resumes when that is mended") from error
    state = replace(state, status="done")
    save_state(campaign.paths.state, state)
    campaign.journal.write(state, "done", state.verdict)
    if not state.converged and campaign.param.converge.asks:
        said = (
            f"not converged after {state.iteration + 1} iterations ({state.verdict}); raise "
            "alh2.converge.max_iterations, loosen a limit, or train longer, and run again"
        )
        campaign.notifier.tell("needs-person", said)
        raise NeedsPersonError(said)
    campaign.notifier.tell("done", state.verdict)
    return state


def _resumed(campaign: Campaign, state: CampaignState) -> CampaignState:
    """The state to continue from.

    Where the loop is over, the param file as it is now decides: more iterations or other limits continue it, and
    production follows again (its finished tasks are not run again).
    """
    state = replace(
        state,
        status="running",
        message="",
        param_file=stored_path(campaign.param.source, campaign.paths.root),
        machine_file=stored_path(campaign.machine.source, campaign.paths.root),
        label_budget=planned_work(campaign.param, n_aimd_frames=0).most_labels,
        rungs=rungs_in_words(campaign.param),
    )
    if state.rungs and state.stage == "bootstrap":
        state = replace(state, rung_starts=(0,))
    return _after_assessment(campaign, state) if state.stage in AFTER_THE_LOOP else state


def _stop(campaign: Campaign, state: CampaignState, status: Status, message: str) -> None:
    stopped = replace(state, status=status, message=message)
    save_state(campaign.paths.state, stopped)
    campaign.journal.write(stopped, status, message)


def _ask(campaign: Campaign, state: CampaignState, message: str) -> None:
    """Stop for a person; what failed in this stage is tried again when the command is repeated."""
    with contextlib.suppress(OSError):  # the disk may be what is wrong
        forget_failures(campaign.paths.stage(state.stage, state.iteration))
        _stop(campaign, state, "needs-person", message)
    campaign.notifier.tell("needs-person", message)


def _run_stage(campaign: Campaign, state: CampaignState) -> CampaignState:
    """Run the stage `state` names and return the state with the next one."""
    in_iteration = state.stage in ORDER
    most = campaign.param.converge.max_iterations
    campaign.reporter.stage(
        state.stage, iteration=state.iteration if in_iteration else None, most=max(most, state.iteration + 1)
    )
    campaign.journal.write(state, "started")
    began = time.monotonic()
    following = _execute(campaign, state)
    campaign.journal.write(state, "finished", wall_s=time.monotonic() - began)
    if in_iteration:
        record_stage(campaign.paths.record, state.iteration, state.stage)
    return following


def _execute(campaign: Campaign, state: CampaignState) -> CampaignState:
    if state.stage == "bootstrap":
        bootstrap(campaign)
        return state.advanced("train", iteration=0)
    here = at_iteration(campaign, state)
    if state.stage == "production":
        from alh2.campaign.producing import produce  # only here: it loads many libraries

        produce(here, state.iteration)
        return state.advanced("report")
    if state.stage == "report":
        from alh2.campaign.reporting import report

        report(campaign, state)
        return state.advanced("done")
    STAGE_FUNCTIONS[state.stage](here, state.iteration)
    if state.stage == "assess":
        return _after_assessment(campaign, state)
    return state.advanced(ORDER[ORDER.index(state.stage) + 1])


def _after_assessment(campaign: Campaign, state: CampaignState) -> CampaignState:
    """Converged, out of iterations, or on to the next iteration or rung; judged by the limits as they are now."""
    limits = campaign.param.converge
    last = judged_again(campaign, state.iteration)
    if last is None:
        return state.advanced("assess")
    first = _first_of_rung(state)
    consecutive = _consecutive(campaign, state.iteration, first)
    converged = consecutive >= limits.consecutive
    if converged and has_next(campaign.param, state):
        return _next_rung(campaign, replace(state, consecutive=0, converged=False, verdict=last.words))
    state = replace(state, consecutive=consecutive, converged=converged, verdict=last.words)
    if converged or state.iteration + 1 - first >= limits.max_iterations:
        return state.advanced("production")
    return state.advanced("train", iteration=state.iteration + 1)


def _first_of_rung(state: CampaignState) -> int:
    """First iteration with the loadings of this one; 0 without a curriculum."""
    rung = rung_of(state.rung_starts, state.iteration)
    return 0 if rung is None else state.rung_starts[rung]


def _next_rung(campaign: Campaign, state: CampaignState) -> CampaignState:
    """The state with the first iteration of the next rung."""
    state = replace(state, rung_starts=(*state.rung_starts, state.iteration + 1))
    done = state.rungs[len(state.rung_starts) - 2] if len(state.rung_starts) > 1 else "the loadings so far"
    said = f"{done} converged; {state.rungs[len(state.rung_starts) - 1]} follow"
    campaign.reporter.message(said)
    campaign.journal.write(state, "rung", said)
    return state.advanced("train", iteration=state.iteration + 1)


def _consecutive(campaign: Campaign, iteration: int, first: int) -> int:
    """How many iterations in a row, from `first` up to `iteration`, met the limits."""
    count = 0
    while count <= iteration - first and (verdict := judged_again(campaign, iteration - count)) and verdict.met:
        count += 1
    return count
