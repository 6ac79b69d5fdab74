"""The core tests with the lowest and the newest versions of the dependencies that pyproject.toml allows."""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = ("serve", "video", "parquet")
TOOLS = ("pytest", "hypothesis", "pillow", "httpx", "filelock", "onnx")  # of the tests themselves
CORE = (
    "tests/imaging/test_damaged.py", "tests/imaging/test_bit_depth.py",
    "tests/recognition/test_recognizer.py", "tests/recognition/output/test_registry.py",
    "tests/recognition/video/test_reader.py", "tests/recognition/video/test_writer.py",
    "tests/serve/routes/test_images.py", "tests/serve/middleware/test_limits.py",
)  # fmt: skip
TRAIN = "tests/train/export/test_export.py"  # needs onnx, onnxscript, safetensors and torch
TRAIN_PART = "architecture or batchnorm or read_state"
OLDEST = (3, 11)


def requirements(*extras: str) -> list[Requirement]:
    """Return the requirements of the package and of extras, without those on its own extras."""
    texts = [*PROJECT["dependencies"]] if not extras or extras != ("train",) else []
    for extra in extras:
        texts += PROJECT["optional-dependencies"][extra]
    return [requirement for requirement in map(Requirement, texts) if requirement.name != "mien"]


def lowest(requirement: Requirement, python: object) -> str:
    """Return a requirement of the lowest published version that a requirement allows."""
    printed = run([python, "-m", "pip", "index", "versions", requirement.name])
    (listed,) = re.findall(r"^Available versions: (.*)$", printed, re.MULTILINE)
    versions = [version for version in map(Version, listed.split(", ")) if version in requirement.specifier]
    return f"{requirement.name}=={min(versions)}"


@cache
def interpreters() -> dict[tuple[int, int], str]:
    """Return the installed Pythons that can create environments, by version."""
    found = [shutil.which(f"python3.{minor}") for minor in range(11, 31)]
    found += glob.glob(os.path.expanduser("~/.pyenv/versions/3.*/bin/python3"))
    versions = {}
    for path in [sys.executable, *filter(None, found)]:
        code = "import sys, venv, ensurepip; print(*sys.version_info[:2])"
        done = subprocess.run([path, "-c", code], capture_output=True, text=True)
        if done.returncode == 0:
            major, minor = map(int, done.stdout.split())
            versions.setdefault((major, minor), path)
    return versions


def newest_python() -> tuple[int, int]:
    return max(interpreters())


@cache
def has_index() -> bool:
    """Return whether pip finds packages: a small one can be downloaded."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir", "--dest"]
    folder = Path(os.environ.get("TMPDIR", "/tmp"))
    return subprocess.run([*command, folder / "mien-index", "iniconfig"], capture_output=True).returncode == 0


def require_index() -> None:
    if not has_index():
        pytest.skip("needs a package index")


def run(command: list[object], **environment: str) -> str:
    """Run a command at the root of the project; return what it prints."""
    words = [str(word) for word in command]
    variables = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environment}
    done = subprocess.run(words, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def copy_of_project(folder: Path) -> Path:
    """Copy what the package is built from, because a build writes into its folder."""
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return folder


def run_tests(python: object, tests: tuple[str, ...], *options: str, path: str = "") -> None:
    source = os.pathsep.join(filter(None, (path, str(ROOT / "src"), str(ROOT / "tests"))))
    # Old versions have warnings that are fixed since.
    words = ["-m", "pytest", "--quiet", "-x", "-p", "no:cacheprovider", "-W", "default", *options]
    printed = run([python, *words, *tests], PYTHONPATH=source, COVERAGE_PROCESS_START="")
    assert re.search(r"\d+ passed", printed), printed


@pytest.mark.parametrize("which", ["lowest", "newest", "newest on the newest Python"])
def test_core_tests_pass_with_versions(which: str, tmp_path: Path) -> None:
    version = newest_python() if which.endswith("Python") else OLDEST
    if which.endswith("Python") and version == OLDEST:
        pytest.skip("needs Python 3.12 or newer beside 3.11")
    if version not in interpreters():
        pytest.skip(f"needs Python {version[0]}.{version[1]}")
    require_index()
    run([interpreters()[version], "-m", "venv", tmp_path / "env"])
    python = tmp_path / "env" / "bin" / "python"
    wanted = requirements(*EXTRAS)
    install = [lowest(one, python) for one in wanted] if which == "lowest" else ["--upgrade", *map(str, wanted)]
    run([python, "-m", "pip", "install", "--quiet", *install, *TOOLS])
    run([python, "-m", "pip", "install", "--quiet", "--no-deps", copy_of_project(tmp_path / "mien")])
    run_tests(python, CORE)
    screen = run([python, "-m", "mien", "analyze", "--sample", "--format", "table"], PYTHONPATH=str(ROOT / "src"))
    assert "happy" in screen


def test_train_passes_with_lowest_versions_beside_torch(tmp_path: Path) -> None:
    """torch is the installed one, which constraints.txt pins; the other packages lie in front of the installed ones."""
    require_index()
    wanted = [lowest(one, sys.executable) for one in requirements("train") if one.name not in ("torch", "filelock")]
    run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path / "old", *wanted])
    run_tests(sys.executable, (TRAIN,), "-k", TRAIN_PART, path=str(tmp_path / "old"))


def test_uvicorn_and_websockets_have_upper_bounds() -> None:
    """`serve.http_protocol` overrides methods that are not documented."""
    bounded = {one.name: {bound.operator for bound in one.specifier} for one in requirements("serve")}
    assert all("<" in bounded[name] for name in ("uvicorn", "websockets"))
