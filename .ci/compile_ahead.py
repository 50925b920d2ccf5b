"""Compile installed packages and alh2 to bytecode on all processors: ``first`` what every task loads, or ``rest``.

pip would compile one file after the other. Without, and where PYTHONDONTWRITEBYTECODE is set, every process would do it
again. Tests of the packages are left out.
"""

import compileall
import re
import sys
import sysconfig
from pathlib import Path

FIRST = ("ase", "deepmd", "google", "matplotlib", "numba", "numpy", "pandas", "scipy", "tblite", "tensorflow")

site = Path(sysconfig.get_paths()["purelib"])
first = [site / name for name in FIRST]
folders = [*first, Path("alh2")] if sys.argv[1:] == ["first"] else [p for p in site.iterdir() if p not in first]
for folder in folders:
    if folder.is_dir():
        compileall.compile_dir(folder, quiet=2, workers=0, rx=re.compile(r"/tests?/"))
    elif folder.suffix == ".py":
        compileall.compile_file(folder, quiet=2)
