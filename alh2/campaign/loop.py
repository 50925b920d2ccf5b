"""The loop: the only place where the order of stages exists.

bootstrap → (train → explore → select → label → assess) repeated → production → report. Every stage is repeatable, and
the state names the one to run next, so repeating the command after any interruption continues.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from alh2.campaign.assessing import assess, load_assessment
from alh2.campaign.bootstrap import bootstrap
from alh2.campaign.context import Campaign
from alh2.campaign.exploring import explore
from alh2.campaign.producing import produce
from alh2.campaign.record import record_stage
from alh2.campaign.relabelling import label
from alh2.campaign.reporting import report
from alh2.campaign.selecting import select
from alh2.campaign.state import CampaignState, Stage, load_state, save_state
from alh2.campaign.training import train
from alh2.core.errors import Alh2Error, NeedsPersonError

ITERATION_STAGES: tuple[tuple[Stage, Callable[[Campaign, int], object]], ...] = (
    ("train", train),
    ("explore", explore),
    ("select", select),
    ("label", label),
    ("assess", assess),
)
STAGE_FUNCTIONS = dict(ITERATION_STAGES)
ORDER: tuple[Stage, ...] = tuple(name for name, _ in ITERATION_STAGES)
AfterStage = Callable[[CampaignState], None]


def run(campaign: Campaign, *, after_stage: AfterStage | None = None) -> CampaignState:
    """Run to the end, or to where a person must decide; returns the last state.

    after_stage : called when a stage is finished and the state saved (tests interrupt there)

    Raises NeedsPersonError (also when the last iteration allowed has not converged) and KeyboardInterrupt; the
    state is saved before either.
    """
    state = _resumed(campaign, load_state(campaign.paths.state) or CampaignState())
    save_state(campaign.paths.state, state)
    campaign.journal.write(state, "started")
    try:
        while state.stage != "done":
            state = _run_stage(campaign, state)
            save_state(campaign.paths.state, state)
            if after_stage is not None:
                after_stage(state)
    except KeyboardInterrupt:
        _stop(campaign, state, "interrupted", "stopped on request; the same command resumes")
        raise
    except NeedsPersonError as error:
        _stop(campaign, state, "needs-person", str(error))
        raise
    except Alh2Error as error:
        _stop(campaign, state, "needs-person", str(error))
        raise
    state = replace(state, status="done")
    save_state(campaign.paths.state, state)
    campaign.journal.write(state, "done", state.verdict)
    if not state.converged and campaign.param.converge.max_iterations:
        raise NeedsPersonError(
            f"not converged after {campaign.param.converge.max_iterations} iterations ({state.verdict}); raise "
            "alh2.converge.max_iterations, loosen a limit, or train longer, and run again"
        )
    return state


def _resumed(campaign: Campaign, state: CampaignState) -> CampaignState:
    """The state to continue from; a finished, unconverged campaign goes on where more iterations are allowed now."""
    state = replace(
        state,
        status="running",
        message="",
        param_file=str(campaign.param.source),
        machine_file=str(campaign.machine.source),
    )
    more = state.iteration + 1 < campaign.param.converge.max_iterations
    if state.stage == "done" and not state.converged and more:
        return _after_assessment(campaign, replace(state, consecutive=max(0, state.consecutive - 1)))
    return state


def _stop(campaign: Campaign, state: CampaignState, status: str, message: str) -> None:
    stopped = replace(state, status=status, message=message)  # type: ignore[arg-type]
    save_state(campaign.paths.state, stopped)
    campaign.journal.write(stopped, status, message)


def _run_stage(campaign: Campaign, state: CampaignState) -> CampaignState:
    """Run the stage `state` names and return the state with the next one."""
    in_iteration = state.stage in ORDER
    campaign.reporter.stage(state.stage, iteration=state.iteration if in_iteration else None)
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
    if state.stage == "production":
        produce(campaign, state.iteration)
        return state.advanced("report")
    if state.stage == "report":
        report(campaign, state)
        return state.advanced("done")
    STAGE_FUNCTIONS[state.stage](campaign, state.iteration)
    if state.stage == "assess":
        return _after_assessment(campaign, state)
    return state.advanced(ORDER[ORDER.index(state.stage) + 1])


def _after_assessment(campaign: Campaign, state: CampaignState) -> CampaignState:
    """Converged, out of iterations, or on to the next iteration."""
    result = load_assessment(campaign.paths.assess(state.iteration))
    assert result is not None
    limits = campaign.param.converge
    consecutive = state.consecutive + 1 if result.met else 0
    converged = consecutive >= limits.consecutive
    state = replace(state, consecutive=consecutive, converged=converged, verdict=result.words)
    if converged or state.iteration + 1 >= limits.max_iterations:
        return state.advanced("production")
    return state.advanced("train", iteration=state.iteration + 1)
