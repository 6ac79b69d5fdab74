"""Messages of `make` on a machine without Python or its venv."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def make(folder: Path, *pythons: tuple[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `make .venv/bin/python` where only these programs, given as name and shell script, are on the PATH."""
    shutil.copy(ROOT / "Makefile", folder)
    tools = folder / "bin"
    tools.mkdir()
    for name, script in pythons:
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    program = shutil.which("make")
    assert program is not None
    return subprocess.run(
        [program, "SHELL=/bin/sh", ".venv/bin/python"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PATH": str(tools)},
    )


def test_make_without_python_names_package(tmp_path: Path) -> None:
    done = make(tmp_path)
    assert done.returncode != 0
    assert "mien needs Python 3.11 or newer. Install the package python3.11" in done.stderr


def test_make_with_old_python_is_an_error(tmp_path: Path) -> None:
    done = make(tmp_path, ("python3", "exit 1"))
    assert done.returncode != 0
    assert "mien needs Python 3.11 or newer" in done.stderr


def test_make_without_venv_names_package(tmp_path: Path) -> None:
    # As Debian ships it: new enough, but `import venv, ensurepip` fails.
    script = f'case "$2" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"'
    done = make(tmp_path, ("python3", script))
    assert done.returncode != 0
    assert f"Install the package python3.{sys.version_info[1]}-venv and run make again" in done.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(
    "name", ["python3", *(pytest.param(n, marks=pytest.mark.slow) for n in ("python3.11", "python"))]
)
def test_make_finds_new_enough_python(tmp_path: Path, name: str) -> None:
    done = make(tmp_path, (name, f'exec {sys.executable} "$@"'))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / ".venv" / "bin" / "python").exists()
