"""Prints "yes" where the interpreter that runs this has alh2 installed from this checkout."""

import importlib.util
from pathlib import Path

spec = importlib.util.find_spec("alh2")
here = Path(__file__).resolve().parents[1] / "alh2" / "__init__.py"
print("yes" if spec and spec.origin and Path(spec.origin).resolve() == here else "no")
