"""House rules: sizes, docstrings, what must not be in library code, style, types, direction of imports."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "alh2").rglob("*.py"))
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))
TOP_LEVEL = {
    *("alh2", "param", "machines", "tests", "examples", "docs", ".ci"),
    *("pyproject.toml", "constraints.txt", "Makefile", ".gitignore"),
    *("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"),
}
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60
HEAVY = ("tensorflow", "deepmd", "ase", "scipy", "matplotlib", "dpdata", "MDAnalysis", "numba")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def tracked_files() -> list[str]:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listing.stdout.splitlines()


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)))


def public_things(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Modules' public classes and functions, and the public methods of those classes."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for member in node.body:
                    if isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
                        yield f"{node.name}.{member.name}", member


def broken_rules(path: Path) -> list[str]:
    """Every rule that the module breaks, with its place."""
    text = path.read_text()
    tree = ast.parse(text)
    found = []
    if text.count("\n") > MAX_MODULE_LINES:
        found.append(f"{path.name}: {text.count(chr(10))} lines")
    if ast.get_docstring(tree) is None:
        found.append(f"{path.name}: no module docstring")
    for function in functions(tree):
        length = (function.end_lineno or 0) - function.lineno + 1
        if length > MAX_FUNCTION_LINES:
            found.append(f"{path.name}: {function.name} has {length} lines")
    for name, node in public_things(tree):
        if ast.get_docstring(node) is None:
            found.append(f"{path.name}: {name} has no docstring")
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            found.append(f"{path.name}:{node.lineno}: bare except")
        if isinstance(node, ast.Attribute) and node.attr in ("chdir", "fchdir"):
            found.append(f"{path.name}:{node.lineno}: {node.attr}")
    return found


@pytest.mark.parametrize("path", [*SOURCES, *SCRIPTS], ids=lambda p: str(p.relative_to(ROOT)))
def test_module_keeps_the_house_rules(path):
    assert broken_rules(path) == []


def test_the_rules_are_really_looked_for(tmp_path):
    bad = tmp_path / "bad.py"
    body = "\n".join(["    x = 1"] * 60)
    bad.write_text(f"import os\ndef f():\n{body}\ntry:\n    os.chdir('x')\nexcept:\n    pass\n" + "#\n" * 400)
    words = " | ".join(broken_rules(bad))
    for expected in ("lines", "no module docstring", "f has 61 lines", "f has no docstring", "bare except", "chdir"):
        assert expected in words


def test_top_level_holds_only_what_belongs_there():
    assert {name.split("/")[0] for name in tracked_files()} <= TOP_LEVEL


def test_no_package_index_is_named():
    """Users have their own index; a registry address in a file would override or leak it."""
    pattern = re.compile(r"index-url|find-links|trusted-host|pypi\.org|pythonhosted|anaconda\.org", re.IGNORECASE)
    for name in tracked_files():
        path = ROOT / name
        if path.suffix in (".py", ".txt", ".toml", ".md", ".json", "") and name != "tests/test_house.py":
            assert not pattern.search(path.read_text(errors="replace")), name


def test_every_pin_is_exact():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert len(lines) > 100
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; python_version (<|>=|==) \"3\.\d+\")?", line), line


def test_direct_dependencies_are_pinned():
    declared = re.findall(r'^  "([A-Za-z0-9_-]+)', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    names = [name.lower().replace("_", "-") for name in declared if name.lower() != "slow"]
    dependencies = names[: names.index("rich") + 1]
    assert len(dependencies) > 15
    assert [name for name in dependencies if name not in pinned] == []


def run_tool(*command: str) -> None:
    tool = Path(sys.executable).parent / command[0]
    done = subprocess.run([tool, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_ruff_finds_nothing():
    run_tool("ruff", "check", "--no-cache", ".")


def test_formatting():
    run_tool("ruff", "format", "--check", "--no-cache", ".")


def test_imports_go_one_way():
    run_tool("lint-imports", "--no-cache")


@pytest.mark.slow
def test_types():
    run_tool("mypy")


def test_commands_start_fast():
    """`alh2 --help` loads no numerical library: it must answer at once."""
    code = (
        "import sys; sys.argv = ['alh2', '--help']\n"
        "from alh2.cli import main\n"
        "try:\n    main()\nexcept SystemExit as e:\n    assert not e.code\n"
        f"heavy = {set(HEAVY)} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.skipif(os.environ.get("CI") != "true", reason="only continuous integration must have a browser")
def test_continuous_integration_has_a_browser():
    """Without one the browser tests skip, which nobody would notice."""
    assert any(shutil.which(name) for name in BROWSERS), f"none of {BROWSERS}"
