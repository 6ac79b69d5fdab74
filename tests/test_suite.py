"""Skips and tests that run one at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def pytest_of(tests: str, folder: Path, *options: str) -> str:
    """Return the output of pytest for `tests`, run in a new process with the hooks of the suite."""
    (folder / "conftest.py").write_text("from suite import *")
    (folder / "test_it.py").write_text(f"import os, pytest\nfrom suite import debian\n{tests}")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    cluster: starts Ray\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rN", *options, str(folder)]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"PYTHONPATH": str(HERE), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder).stdout


def test_skip_of_missing_package_is_listed_by_name(tmp_path: Path) -> None:
    tests = "def test_a(): debian('no-such-package')\ndef test_b(): debian('no-such-package')\n"
    output = pytest_of(tests, tmp_path)
    assert "2 tests: needs the Debian package no-such-package" in output
    assert "2 skipped in" in output


def test_skip_for_another_reason_fails(tmp_path: Path) -> None:
    tests = (
        "def test_a(): pytest.skip('tired')\n"
        "@pytest.mark.skipif(True, reason='tired')\ndef test_b(): pass\n"
        "def test_c(): pytest.importorskip('no_such_module')\n"
    )
    output = pytest_of(tests, tmp_path)
    assert output.count("Only a missing Debian package, Python, package index or data may skip a test.") == 3
    assert "2 failed, 1 error in" in output


def test_skip_of_a_module_for_another_reason_fails(tmp_path: Path) -> None:
    output = pytest_of("pytest.importorskip('no_such_module')\n", tmp_path)
    assert "Only a missing Debian package, Python, package index or data may skip a test." in output
    assert "1 error in" in output


def test_exclusive_files_run_in_one_process(tmp_path: Path) -> None:
    for number in range(3):
        tests = "import pytest\n" + "".join(f"@pytest.mark.cluster\ndef test_{i}(): pass\n" for i in range(3))
        (tmp_path / f"test_cluster_{number}.py").write_text(tests)
    output = pytest_of("def test_a(): pass\n" * 2, tmp_path, "-p", "xdist", "-n", "2", "--dist", "loadfile", "-v")
    ran = [line.split() for line in output.splitlines() if "PASSED" in line]
    workers = {words[0] for words in ran if "test_cluster_" in words[-1]}
    assert len(ran) == 10, output
    assert len(workers) == 1
    assert workers != {words[0] for words in ran if "test_it" in words[-1]}
