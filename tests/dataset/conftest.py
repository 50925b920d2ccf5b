"""Real VASP and xTB files, and small synthetic frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alh2.core.frames import Frame, Label, LabelledFrame, Provenance

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"
TYPE_MAP = ("Al", "O", "C", "N", "H")
HOST_SYMBOLS = ("Al", "O", "H")


def _folder(path: Path) -> Path:
    if not path.is_dir():
        pytest.skip(f"test data {path} are not on this machine")
    return path


@pytest.fixture(scope="session")
def vasp() -> Path:
    """Folder of public VASP outputs."""
    return _folder(SHARED / "fixtures" / "vasp")


@pytest.fixture(scope="session")
def node_data() -> Path:
    """Folder of the xTB runs of the node."""
    return _folder(SHARED / "data" / "node-gfn1")


def make_frame(n_h2: int, seed: int = 0, *, host_seed: int = 0, host_id: str = "node", n_host: int = 3) -> Frame:
    """A frame with a three-atom host (or gas), 12 Å box."""
    rng = np.random.default_rng(seed)
    host = np.random.default_rng(host_seed).random((n_host, 3)) * 3.0
    guests = [centre + np.array([[0.0, 0.0, -0.37], [0.0, 0.0, 0.37]]) for centre in 4 + 7 * rng.random((n_h2, 3))]
    positions = np.concatenate([host, *guests]) if n_h2 else host
    symbols = HOST_SYMBOLS[:n_host] + ("H", "H") * n_h2
    return Frame(symbols, positions, np.eye(3) * 12.0, n_host, host_id if n_host else "", Provenance("md", 2, "here"))


def make_labelled(n_h2: int, seed: int = 0, *, labeler: str = "xtb", **kwargs: object) -> LabelledFrame:
    """A frame with a random label and no host label."""
    frame = make_frame(n_h2, seed, **kwargs)  # type: ignore[arg-type]
    rng = np.random.default_rng([seed, n_h2])
    return LabelledFrame(frame, Label(float(rng.normal()), rng.normal(size=(frame.n_atoms, 3)), labeler))


def tree_bytes(root: Path) -> dict[str, bytes]:
    """Relative path → content of every file under `root`."""
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.fixture
def frames_api():
    """`make_frame`, `make_labelled`, `tree_bytes` and the type map, for test modules."""

    class Api:
        frame = staticmethod(make_frame)
        labelled = staticmethod(make_labelled)
        tree = staticmethod(tree_bytes)
        type_map = TYPE_MAP

    return Api
