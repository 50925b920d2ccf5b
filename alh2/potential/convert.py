"""DeePMD models in the backend-free `.dp` format, converted once and cached beside the original."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

from alh2.core.errors import BadInputError
from alh2.core.files import digest_bytes, fsync_directory
from alh2.potential.conversion import shift_file
from alh2.potential.deeppot import check_model_file
from alh2.potential.libraries import quiet_environment

CONVERT_TIMEOUT_S = 1200.0


def cache_path(model_file: Path) -> Path:
    """Where the conversion of `model_file` is kept: beside it, the content digest in the name.

    In a folder that cannot be written, under the system's temporary folder instead.
    """
    name = f"{model_file.stem}.{digest_bytes(model_file.read_bytes())[:12]}.dp"
    beside = model_file.resolve().parent / name
    if beside.exists() or os.access(beside.parent, os.W_OK):
        return beside
    folder = Path(tempfile.gettempdir()) / f"alh2-models-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / name


def to_dp(model_file: Path) -> Path:
    """The `.dp` form of `model_file` (itself where it is one already), converting at most once.

    DeePMD converts in a subprocess (about 5 s) and the finished file is renamed, so that processes that convert at
    the same time do no harm. What it does to the energies is measured then (`alh2.potential.conversion`).
    Raises BadInputError where the file is absent or cannot be converted.
    """
    check_model_file(model_file)
    if model_file.suffix in (".dp", ".yaml", ".yml"):
        return model_file
    final = cache_path(model_file)
    if final.exists():
        return final
    staged = final.with_name(f".{final.stem}.{os.getpid()}.{uuid.uuid4().hex[:8]}.dp")
    shift = shift_file(final)
    command = [sys.executable, "-m", "alh2.potential.conversion", str(model_file), str(staged), str(shift)]
    try:
        done = subprocess.run(
            command,
            env=quiet_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CONVERT_TIMEOUT_S,
            check=False,
        )
        if done.returncode or not staged.is_file():
            lines = [line for line in done.stderr.splitlines() if "libcudart" not in line and line.strip()]
            raise BadInputError(
                str(model_file),
                expected="a DeePMD model that `dp convert-backend` takes",
                found=lines[-1].strip() if lines else f"exit code {done.returncode}",
                action="freeze it again",
            )
        with open(staged, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(staged, final)
        fsync_directory(final.parent)
    except subprocess.TimeoutExpired:
        raise BadInputError(
            str(model_file), expected=f"a conversion within {CONVERT_TIMEOUT_S:.0f} s", found="none"
        ) from None
    finally:
        staged.unlink(missing_ok=True)
    return final


def load_dp(dp_file: Path) -> dict[str, Any]:
    """Content of a `.dp` file as DeePMD serialises it; raises BadInputError where it cannot be read."""
    from deepmd.dpmodel.utils.serialization import load_dp_model

    try:
        content = load_dp_model(str(dp_file))
    except (OSError, KeyError, ValueError) as error:
        raise BadInputError(
            str(dp_file), expected="a readable .dp model", found=str(error).splitlines()[0], action="convert it again"
        ) from None
    if not isinstance(content.get("model"), dict):
        raise BadInputError(str(dp_file), expected="a .dp model", found="no model in it", action="convert it again")
    return content


def uncompressed_candidates(model_file: Path, content: dict[str, Any]) -> list[Path]:
    """Files from which compressed `model_file` may have been made: the one its content names, then usual names."""
    folder = model_file.resolve().parent
    named = (content.get("model_def_script") or {}).get("compress", {}).get("model_file")
    guesses = [folder / named, folder / Path(named).name] if named else []
    guesses += [folder / name for name in ("frozen_model.pb", "frozen.pb", "graph.pb")]
    found: list[Path] = []
    for guess in guesses:
        if guess.is_file() and guess.resolve() != model_file.resolve() and guess not in found:
            found.append(guess)
    return found
