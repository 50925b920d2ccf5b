"""Trust levels derived from the calibration, in the stages of a finished campaign."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from typing import Any

import pytest

from alh2.assess.calibration import Calibration
from alh2.assess.trust import load_decision
from alh2.assess.uncertainty import CommitteeCalibration, save_calibration
from alh2.campaign.assessing import calibration_of
from alh2.campaign.open import open_campaign
from alh2.campaign.progress import Reporter
from alh2.campaign.selecting import picked_dir, select
from alh2.select.table import SELECTION_FILE, read_selection_table

pytestmark = pytest.mark.slow


def test_levels_come_from_the_calibration_of_the_iteration_before(again: Any) -> None:
    """The four insertions of this campaign calibrate nothing; with a calibration in their place, it decides."""
    content = json.loads(again.inputs.param.read_text())
    content["alh2"]["select"]["trust_levels"] = {"target_force_error_ev_ang": 1.0, "target_insertion_error_ev": 0.05}
    again.inputs.write_param(content)
    said = io.StringIO()
    campaign = open_campaign(again.inputs.param, again.inputs.machine, again.workdir, reporter=Reporter(said))
    directory = campaign.paths.label(1)

    shutil.rmtree(picked_dir(directory))
    select(campaign, 1)
    trust = load_decision(directory)
    assert trust is not None and (trust.force.used, trust.insertion.used) == (0.01, 0.03)
    assert "too few labels were held out in the iteration before" in said.getvalue()

    made_up = Calibration(30, 2.0, 0.2, 2.0, 0.03, 1.7, 10.0)
    for target, quantity in (("total", "largest force"), ("interaction", "insertion")):
        found = calibration_of(campaign.paths, 0, target)  # type: ignore[arg-type]
        assert found is not None
        rows = tuple(replace(r, calibration=made_up) if r.quantity == quantity else r for r in found.rows)
        path = campaign.paths.assess(0) / f"calibration.{target}.json"
        save_calibration(path, CommitteeCalibration(found.target, rows))
    shutil.rmtree(picked_dir(directory))
    select(campaign, 1)
    trust = load_decision(directory)
    assert trust is not None and trust.insertion.calibrated_in == 0
    assert trust.force.used == pytest.approx((1.0**2 - 0.03**2) ** 0.5 / 2)
    assert trust.insertion.used == pytest.approx(0.02)
    assert "level 20 meV, where the RMS error on 30 held-out insertions of iteration 0 reaches" in said.getvalue()
    for row in read_selection_table(directory / SELECTION_FILE):
        if row.band == "accurate":
            assert row.max_devi_f < trust.force.used and (row.devi_insertion_ev or 0.0) <= 0.02
        elif "insertion spread" in row.reason and row.band == "candidate":
            assert row.devi_insertion_ev is not None and row.devi_insertion_ev > 0.02
