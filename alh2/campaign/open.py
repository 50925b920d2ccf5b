"""Opening a campaign directory."""

from __future__ import annotations

from pathlib import Path

from alh2.campaign.context import Campaign
from alh2.campaign.lock import DriverLock
from alh2.campaign.notify import Notifier
from alh2.campaign.paths import RunPaths
from alh2.campaign.progress import Reporter
from alh2.campaign.snapshot import Snapshot
from alh2.campaign.state import Journal, load_state, stored_file
from alh2.config.load import load_machine, load_param
from alh2.config.model import StageMachine
from alh2.core.errors import BadInputError
from alh2.dataset.store import DatasetStore
from alh2.label.registry import make_labeler


def open_campaign(param_file: Path, machine_file: Path, workdir: Path, *, reporter: Reporter | None = None) -> Campaign:
    """A campaign in `workdir` (made where absent); raises BadInputError for bad files."""
    param = load_param(param_file)
    machine = load_machine(machine_file).with_policies(param.failures)
    labeler = make_labeler(param.label, type_map=param.type_map)
    root = workdir.resolve()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(
            str(workdir),
            expected="a folder for the campaign",
            found=(error.strerror or str(error)).lower(),
            action="choose another --workdir",
        ) from None
    paths = RunPaths(root)
    reporter = reporter or Reporter()
    return Campaign(
        param=param,
        machine=machine,
        paths=paths,
        store=DatasetStore(paths.dataset, param.type_map),
        labeler=labeler,
        journal=Journal(paths.journal),
        reporter=reporter,
        lock=DriverLock(paths.lock),
        notifier=Notifier(param.notify, root, say=reporter.message),
        snapshot=Snapshot(paths.progress),
    )


def reopen_campaign(directory: Path) -> Campaign:
    """The campaign in `directory` with the files it was last run with; raises BadInputError where there is none."""
    param_file, machine_file = _files_of(directory)
    return open_campaign(param_file, machine_file, directory)


def machines_of(directory: Path) -> list[StageMachine]:
    """Machines of the campaign in `directory`; raises BadInputError where there is none."""
    machine = load_machine(_files_of(directory)[1])
    return [machine.train, machine.model_devi, machine.fp, machine.gcmc]


def _files_of(directory: Path) -> tuple[Path, Path]:
    """Param and machine file that the campaign in `directory` was last run with."""
    root = directory.resolve()
    state = load_state(RunPaths(root).state)
    if state is None or not state.param_file:
        raise BadInputError(
            str(directory),
            expected="a campaign directory (with state.json)",
            found="none",
            action="start with alh2 run",
        )
    return stored_file(state.param_file, root), stored_file(state.machine_file, root)
