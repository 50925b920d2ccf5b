"""Memory of one LAMMPS process: ``python tests/benchmarks/md_memory.py TASK_FOLDER``

TASK_FOLDER is an MD task that a campaign has run (``…/01.model_devi/task.000.000000``). Its input is run again for five
steps in a copy, on one thread. Path integrals have one such process for each bead. The last line is JSON.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from alh2.core.quiet import QUIET_ENVIRONMENT
from alh2.explore.lammps import CONF_FILE, INPUT_FILE, LOG_FILE

ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "DP_INTRA_OP_PARALLELISM_THREADS")}


def main() -> None:
    """Command line."""
    source = Path(sys.argv[1]).resolve()
    text = re.sub(r"^run \d+$", "run 5", (source / INPUT_FILE).read_text(), flags=re.MULTILINE)
    shared = sorted(set(re.findall(r"\.\./(\S+\.(?:pb|table))", text)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "task"
        folder.mkdir()
        (folder / INPUT_FILE).write_text(text)
        shutil.copyfile(source / CONF_FILE, folder / CONF_FILE)
        for file in shared:
            shutil.copyfile(source.parent / file, folder.parent / file)
        command = [str(Path(sys.executable).parent / "lmp"), "-i", INPUT_FILE, "-log", LOG_FILE, "-screen", "none"]
        env = {**QUIET_ENVIRONMENT, **os.environ, **ONE_THREAD}
        subprocess.run(command, cwd=folder, env=env, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        n_atoms = int((folder / CONF_FILE).read_text().splitlines()[2].split()[0])
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    models = sum(file.endswith(".pb") for file in shared)
    print(json.dumps({"benchmark": "md memory", "peak_mb": round(peak_mb), "atoms": n_atoms, "models": models}))


if __name__ == "__main__":
    main()
