"""The files that build the project: what the wheel holds, what they may name, what make tells."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD_FILES = ["Makefile", "pyproject.toml", ".ci/run", *sorted(p.name for p in ROOT.glob("requirements*"))]
REQUIREMENTS = ["requirements.txt", "requirements-dev.txt"]
TARGETS = {"setup", "demo", "up", "down", "clean", "test", "check", "bench", "soak", "lock", "help"}


def _run(*command: str, cwd: Path) -> str:
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=60).stdout


def test_the_wheel_holds_the_engine_and_nothing_else(tmp_path: Path):
    """The break-glass command line installs without the platform, and complete."""
    _run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path), cwd=ROOT)
    [wheel] = tmp_path.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names >= {str(path.relative_to(ROOT)) for path in (ROOT / "moi_backup").rglob("*.py")}
    assert {name.split("/")[0] for name in names} == {"moi_backup"}


@pytest.mark.parametrize("name", BUILD_FILES)
def test_no_build_file_names_an_address(name: str):
    """Where packages come from is the choice of whoever installs them."""
    text = (ROOT / name).read_text()
    assert not re.findall(r".*(?:\w://|--(?:extra-)?index-url|--find-links).*", text)


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_requirement_is_pinned_with_a_hash(name: str):
    """One line without a pin or a hash would let another package in."""
    text = re.sub(r"#.*", "", (ROOT / name).read_text()).replace("\\\n", " ")
    requirements = [line for line in text.splitlines() if line.strip()]
    assert requirements
    assert [line for line in requirements if "==" not in line or "--hash=sha256:" not in line] == []


def test_both_requirement_files_agree_on_every_version():
    """The tests run against the versions that are shipped."""
    pin = re.compile(r"^([\w.-]+)(?:\[.*?\])?==([^\s;]+)", re.MULTILINE)
    runtime, development = (set(pin.findall((ROOT / name).read_text())) for name in REQUIREMENTS)
    names = {name for name, _ in runtime} & {name for name, _ in development}
    assert {name for name, _ in runtime ^ development} & names == set()


def test_every_make_target_explains_itself():
    """`make` alone lists all there is to run."""
    listed = re.findall(r"^  make (\w+) +\S", _run("make", cwd=ROOT), re.MULTILINE)
    assert set(listed) == TARGETS
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == TARGETS


def test_the_checkout_is_what_python_imports(tmp_path: Path):
    """Dagster started by its script finds the platform, whatever else lies in the environment."""
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    code = f"import importlib.util as u; [print(u.find_spec(n).origin) for n in {packages!r}]"
    origins = _run(sys.executable, "-c", code, cwd=tmp_path).split()
    assert [Path(origin) for origin in origins] == [ROOT / name / "__init__.py" for name in packages]


@pytest.mark.parametrize(("ci", "outcome"), [("", "2 skipped"), ("true", "1 failed, 1 error")])
def test_a_skip_is_a_failure_under_continuous_integration(tmp_path: Path, ci: str, outcome: str):
    """A test whose program is missing is skipped on a desk and fails in CI, as a whole module does."""
    (tmp_path / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (tmp_path / "test_one.py").write_text("import pytest\n\ndef test_one():\n    pytest.skip('no such program')\n")
    (tmp_path / "test_all.py").write_text("import pytest\n\npytest.importorskip('no_such_library')\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    environment = {**os.environ, "CI": ci}
    run = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
    assert run.stdout.splitlines()[-1].startswith(outcome)
    assert ("CI is set, so a skip is a failure" in run.stdout) == bool(ci)
