"""Which Monte Carlo tasks an exploration job becomes."""

from __future__ import annotations

from alh2.campaign.exploring import _numbered
from alh2.config.model import GcmcJob


def test_one_task_per_point_and_fixed_loading():
    job = GcmcJob(
        temperatures_k=(77.0, 88.0),
        fugacities_bar=(0.001, 0.1),
        n_initial=(0, 8),
        n_moves=500,
        n_equilibration=100,
        sample_every=50,
        max_loading=16,
        canonical_loadings=(1, 3, 13),
    )
    specs = [spec for spec, _ in _numbered([job])]
    assert len(specs) == job.n_tasks == 2 * (4 + 3)
    assert [index for _, index in _numbered([job])] == list(range(14))
    open_runs = [(s.temperature_k, s.fugacity_bar, s.n_initial) for s in specs if s.ensemble == "grand-canonical"]
    assert set(open_runs) == {(t, f, n) for t in (77.0, 88.0) for f in (0.001, 0.1) for n in (0, 8)}
    fixed = [(s.temperature_k, s.n_initial) for s in specs if s.ensemble == "canonical"]
    assert sorted(fixed) == [(t, n) for t in (77.0, 88.0) for n in (1, 3, 13)]
    assert {(s.n_moves, s.n_equilibration, s.sample_every, s.max_loading) for s in specs} == {(500, 100, 50, 16)}
